// Loads the packed extension with a stand-in for the editor, and tries what needs no server:
// the search for ncdc, its failure, the commands, and the panel.
// Arguments: the file of the extension, the folder of the sources' unit (command.js).
import assert from "node:assert/strict";
import Module, { createRequire } from "node:module";
import { resolve } from "node:path";

const require = createRequire(import.meta.url);
const registered = new Map();
const told = [];
const panels = [];
const posted = [];
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
  uri: { scheme: "file", fsPath: "/x/a.ncd", toString: () => "file:///x/a.ncd" },
  getText: () => "diagram α'(X: [x]) -> [x] { return X }\ndiagram b(X: [x]) -> [x] { return X }\n",
  offsetAt: (place) => place,
  positionAt: (offset) => offset,
};
const editor = {
  Uri: {
    parse: (text) => ({ toString: () => text }),
    joinPath: (base, ...parts) => [base, ...parts].join("/"),
  },
  ColorThemeKind: { Light: 1, Dark: 2, HighContrast: 3, HighContrastLight: 4 },
  ViewColumn: { Beside: -2 },
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
    openTextDocument: async () => document,
    registerTextDocumentContentProvider: event,
  },
};
const stub = new Proxy(editor, { get: (found, name) => (found[name] ??= anything()) });
const load = Module._load;
Module._load = (request, ...rest) => (request === "vscode" ? stub : load(request, ...rest));

const extension = require(resolve(process.argv[2]));
const context = { subscriptions: [], extensionUri: "/extension" };
await extension.activate(context);
assert.deepEqual([...registered.keys()].sort(), JSON.parse(process.argv[3]).sort());
assert.match(told[0], /no ncdc was found.*pip install 'ncdlang\[lsp\]'/);

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
for (const each of context.subscriptions) each.dispose();
process.stdout.write("the extension works as far as it does without an editor\n");
process.exit(0);
