// Contexts: limits and defaults of a group of sockets.

import { describe, expect, test } from "bun:test";
import zmq, {
  Context,
  context,
  type ContextOptions,
  Pull,
  Push,
  Subscriber,
} from "../../src/index.ts";
import { failure } from "../support/sockets.ts";

describe("the common context", () => {
  test("has the defaults of libzmq, and is that of every socket", () => {
    expect([context.maxSockets, context.maxMessageSize]).toEqual([1023, -1]);
    expect([context.ipv6, context.blocky]).toEqual([false, true]);
    expect(context.maxSocketsLimit).toBe(65_535);
    using push = new Push();
    expect(push.context).toBe(context);
    expect(zmq.context).toBe(context);
  });

  test("is printed with what it is set to, and nothing else", () => {
    const text = "Context { maxSockets: 7, maxMessageSize: -1, ipv6: false, blocky: true }";
    expect(Bun.inspect(new Context({ maxSockets: 7 })).replace(/\s+/g, " ").replace(", }", " }"))
      .toBe(text);
  });

  test("has no I/O threads, and says so to who wants some", () => {
    expect(context.ioThreads).toBe(0);
    expect(() => new Context({ ioThreads: 4 } as ContextOptions)).toThrow("no I/O threads");
    expect(() => {
      (context as { ioThreads: number }).ioThreads = 4;
    }).toThrow(TypeError);
  });
});

describe("a context of one's own", () => {
  test("decides what its sockets start with, and theirs only", () => {
    const own = new Context({ blocky: false, ipv6: true, maxMessageSize: 1000 });
    using push = new Push({ context: own });
    expect(push.context).toBe(own);
    expect([push.linger, push.ipv6, push.maxMessageSize]).toEqual([0, true, 1000]);
    using other = new Push({ context: own, linger: 5, ipv6: false });
    expect([other.linger, other.ipv6]).toEqual([5, false]);
    using common = new Push();
    expect([common.linger, common.ipv6, common.maxMessageSize]).toEqual([30_000, false, -1]);
    own.blocky = true;
    using next = new Push({ context: own });
    expect([push.linger, next.linger]).toEqual([0, 30_000]);
  });

  test("really gives them to the socket, not only to its property", async () => {
    using pull = new Pull({ context: new Context({ ipv6: true }) });
    await pull.bind("tcp://[::1]:*");
    using other = new Pull();
    expect((await other.bind("tcp://[::1]:*").catch(({ code }) => code)) as unknown).toBe(
      "EAFNOSUPPORT",
    );
  });

  test("has as many sockets as it may have, at a time", () => {
    const own = new Context({ maxSockets: 2 });
    using first = new Push({ context: own });
    using second = new Subscriber({ context: own });
    const error = failure(() => new Push({ context: own }));
    expect(error.code).toBe("EMFILE");
    expect(error.message).toContain("maxSockets");
    first.close();
    first.close();
    using third = new Push({ context: own });
    expect(failure(() => new Push({ context: own })).code).toBe("EMFILE");
    own.maxSockets = 3;
    using fourth = new Push({ context: own });
    expect([second, third, fourth].every(({ closed }) => !closed)).toBe(true);
  });

  test("checks its options and names the ones there are", () => {
    const misspelt = () => new Context({ maxSocket: 1 } as ContextOptions);
    expect(misspelt).toThrow(/^Context has no option maxSocket\. .*: maxSockets, maxMessageSize, ipv6/);
    expect(failure(() => new Context({ maxSockets: 0 })).code).toBe("EINVAL");
    expect(() => new Context({ ipv6: 1 } as unknown as ContextOptions)).toThrow(TypeError);
    expect(() => new Push({ context: {} as Context })).toThrow("context must be a Context");
    expect(() => {
      using push = new Push();
      (push as { context: Context }).context = context;
    }).toThrow(TypeError);
  });

  test("has inproc names of its own, the common one those of all", () => {
    const names = [new Context(), new Context(), context].map((own) => own.inprocNamespace);
    expect(new Set(names).size).toBe(3);
    expect(context.inprocNamespace).toBe("");
  });
});
