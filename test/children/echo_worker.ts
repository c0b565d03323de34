// A Worker that answers with blocking calls only: its event loop stands still the whole time.

import { Pull, Push } from "../../src/index.ts";

declare const self: Worker;

self.onmessage = ({ data }: MessageEvent<{ from: string; to: string; count: number }>) => {
  const pull = new Pull();
  const push = new Push();
  pull.connect(data.from);
  push.connect(data.to);
  for (let i = 0; i < data.count; i += 1) {
    const message = pull.receiveSync({ timeout: 20_000 });
    push.sendSync(message, { timeout: 20_000 });
  }
  push.close();
  pull.close();
  self.postMessage("done");
};
