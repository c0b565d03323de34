// io_uring or epoll: what the environment asks for, and what there is, in words.

import { zmqError } from "./errors.ts";
import {
  Backend as Kind,
  BackendRecord,
  BackendStep,
  BackendWake,
  ContextRecord,
  Status,
} from "./ffi/abi.generated.ts";
import type { Backend } from "./socket_context.ts";
import { errnoName } from "./node.ts";

const VARIABLE = "MONOCOQUE_BACKEND";

/** The back end that the environment asks for, as the native side calls it. */
export function wantedBackend(): number {
  const wanted = process.env[VARIABLE];
  if (wanted === undefined || wanted === "") return Kind.automatic;
  if (wanted === "io_uring") return Kind.io_uring;
  if (wanted === "epoll") return Kind.epoll;
  const advice = `Set it to "io_uring" or to "epoll", or leave it out: then what works is used.`;
  throw zmqError("EINVAL", { text: `${VARIABLE} is "${wanted}"`, advice });
}

/** What the native side has. */
export function readBackend(record: DataView): Backend {
  const word = (field: { offset: number }) =>
    record.getUint32(ContextRecord.backend.offset + field.offset, true);
  const step = word(BackendRecord.refused_step);
  return {
    name: word(BackendRecord.kind) === Kind.io_uring ? "io_uring" : "epoll",
    wake: wakes[word(BackendRecord.wake)]!,
    reason: step === BackendStep.none ? undefined : reason(step, word(BackendRecord.refused_errno)),
  };
}

const wakes: Record<number, Backend["wake"]> = {
  [BackendWake.eventfd]: "eventfd",
  [BackendWake.aio]: "aio",
  [BackendWake.thread]: "thread",
};

const steps: Record<number, string> = {
  [BackendStep.set_up]: "io_uring_setup(2) failed",
  [BackendStep.eventfd_flag]: "io_uring cannot switch its eventfd off (IORING_CQ_EVENTFD_DISABLED)",
  [BackendStep.first_poll]: "io_uring refuses to poll",
  [BackendStep.eventfd]: "io_uring refuses an eventfd",
};

function reason(step: number, errno: number): string {
  if (step === BackendStep.choice) return `${VARIABLE}=epoll`;
  const why = causes[errno] === undefined ? "" : `: ${causes[errno]}`;
  return `${steps[step]} (${errnoName(errno) ?? `errno ${errno}`})${why}`;
}

const causes: Record<number, string> = {
  [-Status.EPERM]: "a container's seccomp profile or kernel.io_uring_disabled forbids it",
  [-Status.ENOSYS]: "this kernel has none, or a seccomp profile hides it",
  [-Status.ENOMEM]: "RLIMIT_MEMLOCK (ulimit -l) leaves no room for a ring",
  [-Status.EMFILE]: "descriptors are used up (ulimit -n): each thread needs five",
  [-Status.EINVAL]: "this kernel is older than Linux 6.1",
};

/** No context could be made: io_uring was asked for, or epoll failed, too. */
export function backendAdvice(status: number): { text: string; advice: string } {
  if (wantedBackend() === Kind.io_uring) {
    const why = causes[-status];
    return {
      text: `io_uring is not available, and ${VARIABLE} asks for it`,
      advice: `Leave ${VARIABLE} out to use epoll.${why === undefined ? "" : ` The reason: ${why}.`}`,
    };
  }
  return {
    text: "The sockets of this thread could not be set up",
    advice: "Descriptors (ulimit -n) or memory are used up: each thread needs five descriptors.",
  };
}
