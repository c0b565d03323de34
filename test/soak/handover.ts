// A ROUTER whose peers come under the same name again and again: the newest has it, the others go.

import { Dealer, Router } from "../../src/index.ts";
import { check, until } from "./work.ts";

const limits = { timeout: 10_000 };

/** Goes on for this many handovers; `each` is called after every one, with its number. */
export async function handovers(
  count: number,
  transport: "tcp" | "ipc",
  each: (number: number, router: Router) => void,
): Promise<void> {
  await using router = new Router({ handover: true, mandatory: true, linger: 0 });
  await router.bind(transport === "tcp" ? "tcp://127.0.0.1:*" : "ipc://*");
  const dealer = (): Dealer => {
    const socket = new Dealer({ routingId: "name", reconnectInterval: -1, linger: 0 });
    socket.connect(router.lastEndpoint!);
    return socket;
  };
  let old = dealer();
  await greet(router, old, 0);
  for (let number = 1; number <= count; number += 1) {
    const next = dealer();
    await greet(router, next, number);
    await until(() => old.stats().connections === 0, "the end of the one that had the name");
    check(old.tryReceive() === undefined, "the old one got an answer of the new one");
    old.close();
    old = next;
    each(number, router);
  }
  old.close();
}

/** A question and its answer: whoever has the name now is this one. */
async function greet(router: Router, dealer: Dealer, number: number): Promise<void> {
  await dealer.send(`${number}`, limits);
  const [id, text] = await router.receive(limits);
  check(String(id) === "name" && String(text) === `${number}`, `${text} of ${id}, not ${number}`);
  await router.send([id!, `answer ${number}`], limits);
  const [answer] = await dealer.receive(limits);
  check(String(answer) === `answer ${number}`, `${answer} to ${number}`);
}
