// What workerd supplies to a Python Worker: a stand-in for it, around real Pyodide and the real SDK.
//
// Played here: the modules `_pyodide_entrypoint_helper` and `_cloudflare_compat_flags`, the context
// with waitUntil, and which invocation a call of `cloudflare:workers` waitUntil belongs to. Not
// played: that the isolate is stopped 30 s after the response, CPU limits, memory snapshots.
//
// Commands come as JSON lines on stdin, and what happens goes as JSON lines to stdout, with the
// time in seconds of one clock.

import { AsyncLocalStorage } from "node:async_hooks";
import { writeSync } from "node:fs";
import { createInterface } from "node:readline";

const options = JSON.parse(process.argv[2]);
const { loadPyodide } = await import(`${options.pyodide}/pyodide.mjs`);

const say = (event) =>
  writeSync(1, JSON.stringify({ ...event, at: performance.now() / 1000 }) + "\n");
const current = new AsyncLocalStorage();

class Context {
  constructor(id) {
    this.id = id;
    this.pending = [];
  }
  waitUntil(promise) {
    say({ id: this.id, event: "waitUntil" });
    // As workerd does now: what Python lends for a call is copied before the call is over.
    const copy = options.copies ? promise.copy?.() : undefined;
    const settled = Promise.resolve(copy ?? promise).catch((error) =>
      say({ id: this.id, event: "rejected", text: String(error.message) }),
    );
    this.pending.push(settled.then(() => copy?.destroy()));
  }
}

function waitUntil(promise) {
  const context = current.getStore();
  if (context === undefined) throw new Error("waitUntil outside of an invocation");
  context.waitUntil(promise);
}

const python = await loadPyodide({
  stdout: (text) => say({ event: "log", text }),
  stderr: (text) => say({ event: "log", text }),
});
options.path.forEach((root, index) => {
  python.FS.mkdirTree(`/mounted/${index}`);
  python.FS.mount(python.FS.filesystems.NODEFS, { root }, `/mounted/${index}`);
});
python.registerJsModule("_pyodide_entrypoint_helper", {
  cloudflareWorkersModule: options.waitUntil ? { waitUntil, env: {} } : { env: {} },
  cloudflareSocketsModule: {},
  patchWaitUntil: () => {},
});
python.registerJsModule("_cloudflare_compat_flags", {});
globalThis.journal = (name, value) =>
  say({ id: current.getStore()?.id, event: "journal", name, value });
python.globals.set("_paths", python.toPy(options.path.map((_, index) => `/mounted/${index}`)));
python.runPython("import sys; sys.dont_write_bytecode = True; sys.path[:0] = _paths");
python._module.enable_pyproxy_allocation_tracing();
const Default = python.pyimport(options.main).Default;
say({ event: "started" });

async function invoke(id, call, tell) {
  const context = new Context(id);
  await current.run(context, async () => {
    const worker = Default(context, {});
    try {
      await tell(await call(worker, context));
    } catch (error) {
      say({ id, event: "raised", text: String(error.message) });
    }
    for (let index = 0; index < context.pending.length; index++) {
      await context.pending[index];
    }
    worker.destroy();
    say({ id, event: "settled", waits: context.pending.length });
  });
}

const commands = {
  fetch: ({ id, url, method }) =>
    invoke(
      id,
      (worker) => worker.fetch(new Request(url, { method })),
      async (response) => {
        say({ id, event: "response", status: response.status });
        say({ id, event: "body", text: await response.text() });
      },
    ),
  scheduled: ({ id, cron, time }) =>
    invoke(
      id,
      (worker, context) =>
        worker.scheduled({ cron, scheduledTime: time, type: "scheduled" }, {}, context),
      async () => say({ id, event: "returned" }),
    ),
  proxies: ({ id }) => {
    python.runPython("import gc; gc.collect()");
    say({ id, event: "proxies", count: python._module.pyproxy_alloc_map.size });
  },
  python: async ({ id, code }) =>
    say({ id, event: "result", value: await python.runPythonAsync(code) }),
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  Promise.resolve(commands[command.do](command)).catch((error) =>
    say({ id: command.id, event: "broken", text: String(error.stack) }),
  );
}
process.exit(0);
