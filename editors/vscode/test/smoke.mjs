// Loads the packed extension with a stand-in for the editor, and tries what needs no server:
// the search for ncdc, its failure, the commands, the panel, and the sizes that a cost depends on.
// Arguments: the file of the extension, the names of its commands as JSON.
import assert from "node:assert/strict";
import { mkdtempSync, writeFileSync } from "node:fs";
import Module, { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const require = createRequire(import.meta.url);
const registered = new Map();
const told = [];
const panels = [];
const posted = [];
const asked = [];
let reports;
const settings = { path: "/nowhere/ncdc", python: "", include: [], "drawing.delay": 0 };

// Whatever is not said here is a class that can be derived from, called and asked for anything.
function anything() {
  const target = class {
    dispose() {}
  };
  return new Proxy(target, {
    get: (found, name) => {
      if (name === "then" || name === Symbol.toPrimitive) return undefined;
      if (!(name in found)) found[name] = anything();
      return found[name];
    },
    apply: () => anything(),
  });
}
const event = () => ({ dispose() {} });
const webview = {
  cspSource: "editor:",
  asWebviewUri: (uri) => uri,
  postMessage: (message) => posted.push(message),
};
const document = {
  languageId: "ncd",
  isClosed: false,
  uri: { scheme: "file", fsPath: join(tmpdir(), "a.ncd"), toString: () => "file:///x/a.ncd" },
  getText: () => "diagram α'(X: [x]) -> [x] { return X }\ndiagram b(X: [x]) -> [x] { return X }\n",
  offsetAt: (place) => place,
  positionAt: (offset) => offset,
};
const editor = {
  Uri: {
    parse: (text) => ({ toString: () => text }),
    from: (parts) => ({ toString: () => JSON.stringify(parts) }),
    joinPath: (base, ...parts) => [base, ...parts].join("/"),
  },
  ColorThemeKind: { Light: 1, Dark: 2, HighContrast: 3, HighContrastLight: 4 },
  ViewColumn: { Beside: -2 },
  ProgressLocation: { Window: 10 },
  EventEmitter: class {
    event = event;
    fire() {}
    dispose() {}
  },
  commands: {
    registerCommand: (name, run) => (registered.set(name, run), { dispose() {} }),
    executeCommand: async () => undefined,
  },
  extensions: { getExtension: () => undefined },
  env: anything(),
  window: {
    activeTextEditor: { document, selection: { active: 50 } },
    activeColorTheme: { kind: 2 },
    createOutputChannel: () => ({ info() {}, warn() {}, show() {}, dispose() {} }),
    createWebviewPanel: () => {
      const panel = { webview, visible: true, reveal() {}, dispose() {} };
      panel.onDidDispose = panel.onDidChangeViewState = event;
      panels.push(panel);
      return panel;
    },
    onDidChangeActiveColorTheme: event,
    onDidChangeActiveTextEditor: event,
    onDidChangeTextEditorSelection: event,
    showErrorMessage: async (text) => void told.push(text),
    showInputBox: async (options) => (asked.push(options), "small, q = 8"),
    showTextDocument: async () => undefined,
    withProgress: async (_, task) => task(),
    showInformationMessage: async (text) => void told.push(text),
  },
  workspace: {
    isTrusted: true,
    workspaceFolders: [],
    getConfiguration: () => ({ get: (name, otherwise) => settings[name] ?? otherwise }),
    getWorkspaceFolder: () => undefined,
    onDidChangeConfiguration: event,
    onDidChangeTextDocument: event,
    onDidCloseTextDocument: event,
    onDidGrantWorkspaceTrust: event,
    openTextDocument: async (uri) => ({ ...document, opened: String(uri) }),
    registerTextDocumentContentProvider: (_, provider) => ((reports = provider), event()),
  },
};
const stub = new Proxy(editor, { get: (found, name) => (found[name] ??= anything()) });
const load = Module._load;
Module._load = (request, ...rest) => (request === "vscode" ? stub : load(request, ...rest));

const extension = require(resolve(process.argv[2]));
const context = { subscriptions: [], extensionUri: "/extension" };
await extension.activate(context);
assert.deepEqual([...registered.keys()].sort(), JSON.parse(process.argv[3]).sort());
assert.match(told[0], /no ncdc was found.*pip install '\.\[lsp\]'/);

await registered.get("ncd.showDrawing")();
await registered.get("ncd.showDrawing")("file:///x/a.ncd", "α'");
await new Promise((done) => setTimeout(done, 50));
assert.equal(panels.length, 1, "one panel is used again");
const page = panels[0].webview.html;
const nonce = page.match(/script-src 'nonce-([0-9a-f]{32})'/)[1];
assert.ok(page.includes("default-src 'none'"));
assert.deepEqual([...page.matchAll(/<script([^>]*)>/g)].map((each) => each[1].includes(nonce)), [true]);
assert.match(posted.at(-1).problem, /not running/);

await registered.get("ncd.cost")({ uri: "file:///x/a.ncd", diagram: "b" });
assert.match(told.at(-1), /no ncdc was found/);
await registered.get("ncd.explain")({ uri: "file:///x/a.ncd", diagram: "gone" });
assert.match(told.at(-1), /no diagram/);

// A cost that depends on sizes asks for them, and shows what comes then.
const fake = join(mkdtempSync(join(tmpdir(), "ncd-")), "ncdc");
const lines = [
  `#!${process.execPath}`,
  "const given = process.argv.slice(2);",
  'if (given[0] === "--version" || given.some((each) => each.startsWith("--size=")))',
  '  console.log(given.join(" "));',
  "else {",
  '  console.error("error: the cost depends on the sizes of q\\n  --size q=...");',
  "  process.exitCode = 2;",
  "}",
];
writeFileSync(fake, lines.join("\n"), { mode: 0o700 });
settings.path = fake;
settings.include = ["/shared", "~/mine"];
const before = told.length;
await registered.get("ncd.cost")({ uri: "file:///x/a.ncd", diagram: "b" });
assert.deepEqual(told.slice(before), []);
assert.match(asked[0].title, /depends on the sizes of q/);
const shown = [...reports.texts.values()].join("");
assert.match(shown, /^cost - b .*-I \/shared -I \/\S+\/mine --config=small --size=q=8$/m);
for (const each of context.subscriptions) each.dispose();
process.stdout.write("the extension works as far as it does without an editor\n");
process.exit(0);
