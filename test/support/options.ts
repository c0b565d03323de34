// Values for tests that go through all options.

import { optionTable } from "../../src/option_table.ts";
import type { OptionName } from "../../src/options.ts";

/** A value that an option takes and that is not its default. */
export function otherValue(name: OptionName): unknown {
  const { kind, default: initial } = optionTable[name];
  switch (kind.type) {
    case "boolean":
      return !initial;
    case "choice":
      return kind.choices.find((choice) => choice !== initial);
    case "set":
      return kind.choices.slice(1);
    case "bytes":
      return "name";
    case "properties":
      return { "X-Name": "value" };
    case "key":
      return "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";
    case "authenticate":
      return () => true;
    case "text":
      return name === "socksProxy" ? "proxy.example:1080" : "lo";
    case "integer":
      return kind.max === 1 ? 1 : 42;
  }
}
