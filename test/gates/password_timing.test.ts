// How long it takes to refuse a password tells nothing: not whether there is such a user, not how much
// of the password is right. 20,000 wrong ones per case; MONOCOQUE_PASSWORDS says otherwise, a million
// takes two minutes or three.

import { expect, test } from "bun:test";
import { type AuthenticationRequest, Authenticator } from "../../src/index.ts";

const attempts = Number(process.env.MONOCOQUE_PASSWORDS ?? 20_000);

/** Of hashing that costs next to nothing: what is left is what we do ourselves. */
const cheap = { algorithm: "argon2id", memoryCost: 8, timeCost: 1 } as const;
const password = "correct horse battery staple";

const cases = {
  "another password of the same length": ["alice", "x".repeat(password.length)],
  "one with one letter wrong at its end": ["alice", `${password.slice(0, -1)}x`],
  "one with one letter wrong at its beginning": ["alice", `x${password.slice(1)}`],
  "a user that there is not": ["mallo", "x".repeat(password.length)],
  "another user that there is not": ["zelda", "x".repeat(password.length)],
} as const;

type Case = keyof typeof cases;
const names = Object.keys(cases) as Case[];

function request([username, secret]: readonly [string, string]): AuthenticationRequest {
  return {
    mechanism: "PLAIN",
    domain: "",
    address: "10.0.0.1",
    remote: "tcp://10.0.0.1:1",
    connection: 1,
    signal: new AbortController().signal,
    credentials: { username, password: secret },
  };
}

/** Mean and its error, of the faster four fifths: the rest tells of the machine. */
function measured(times: number[]): { mean: number; error: number } {
  const fast = times.sort((a, b) => a - b).slice(0, times.length * 0.8);
  const mean = fast.reduce((sum, time) => sum + time, 0) / fast.length;
  const variance = fast.reduce((sum, time) => sum + (time - mean) ** 2, 0) / fast.length;
  return { mean, error: Math.sqrt(variance / fast.length) };
}

test(`${attempts} wrong passwords tell nothing by the time it takes to refuse them`, async () => {
  const passwords = Object.fromEntries(
    await Promise.all(
      ["alice", "bobby", "carol"].map(async (name) => [name, await Bun.password.hash(password, cheap)] as const),
    ),
  );
  const authenticator = new Authenticator({ passwords });
  const requests = names.map((name) => request(cases[name]));
  const times = names.map((): number[] => []);
  const warm = 500;
  for (let round = -warm; round < attempts; round += 1) {
    // Whichever comes first in a round has another neighbour each time.
    for (let step = 0; step < names.length; step += 1) {
      const index = (step * (1 + (round & 3)) + (round & 7)) % names.length;
      const since = Bun.nanoseconds();
      const verdict = await authenticator.authenticate(requests[index]!);
      const ns = Bun.nanoseconds() - since;
      if (round >= 0) times[index]!.push(ns);
      else expect(verdict).toEqual({ reject: "password" });
    }
  }
  const results = times.map(measured);
  for (const [i, { mean, error }] of results.entries()) {
    console.log(`${mean.toFixed(0).padStart(8)} ns ± ${error.toFixed(1)}: ${names[i]}`);
  }
  // An honest hash takes 20,000,000 ns, and a network adds what it likes: this is far below both.
  const means = results.map(({ mean }) => mean);
  const noise = Math.max(...results.map(({ error }) => error));
  const spread = Math.max(...means) - Math.min(...means);
  expect(spread).toBeLessThan(10 * noise + 10);
  expect(authenticator.stats().denied).toBe((attempts + warm) * names.length);
}, 60_000 + attempts);
