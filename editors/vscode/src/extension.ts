// The extension: a client of `ncdc lsp`, the panel with drawings, and the commands of code lenses.

import * as vscode from "vscode";
import { LanguageClient, Trace, type LanguageClientOptions } from "vscode-languageclient/node";
import { declaration, diagramAt, type Command } from "./command";
import { DrawingPanel, type Drawing } from "./drawing";
import { find, include, sayMissing } from "./ncdc";
import { Reports } from "./reports";

/** What code lenses give: the document and the name of the diagram. Commands that a person runs
 * give nothing and mean the diagram under the cursor. */
interface Target {
  readonly uri?: string;
  readonly diagram?: string;
}

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  const server = new Server();
  const panel = new DrawingPanel(context.extensionUri, (...place) => server.draw(...place));
  const reports = new Reports();
  const report = (kind: "explain" | "cost") => async (given?: Target | string, name?: string) => {
    const place = await placeOf(given, name);
    if (place === undefined) return;
    const ncdc = await server.command();
    if (ncdc !== undefined) await reports.show(ncdc, kind, place.document, place.diagram);
  };
  context.subscriptions.push(
    server,
    panel,
    reports,
    vscode.commands.registerCommand("ncd.showDrawing", async (given?: Target | string, name?: string) => {
      const place = await placeOf(given, name);
      if (place !== undefined) panel.show(place.document, place.position);
    }),
    vscode.commands.registerCommand("ncd.explain", report("explain")),
    vscode.commands.registerCommand("ncd.cost", report("cost")),
    vscode.commands.registerCommand("ncd.restart", async () => {
      await server.restart();
      panel.restart();
    }),
    vscode.workspace.onDidChangeConfiguration(async (event) => {
      const matters = ["ncd.path", "ncd.python", "ncd.include"];
      if (matters.some((name) => event.affectsConfiguration(name))) await server.restart();
    }),
    vscode.workspace.onDidGrantWorkspaceTrust(() => server.restart()),
  );
  await server.restart();
}

/** The language server, which is started anew when the settings change. */
class Server implements vscode.Disposable {
  private readonly log = vscode.window.createOutputChannel("NCD", { log: true });
  private found: Promise<Command | undefined> | undefined;
  private client: LanguageClient | undefined;
  private turn: Promise<void> = Promise.resolve();

  /** The ncdc to run; where there is none the user is told. */
  async command(): Promise<Command | undefined> {
    this.found ??= find(this.log);
    const command = await this.found;
    if (command === undefined) {
      this.found = undefined; // it may have been installed by the next time
      void sayMissing();
    }
    return command;
  }

  /** Stop what runs, and start what the settings name now. One restart after the other. */
  restart(): Promise<void> {
    this.turn = this.turn.then(() => this.startAnew());
    return this.turn;
  }

  private async startAnew(): Promise<void> {
    await this.stop();
    this.found = undefined;
    const command = await this.command();
    if (command === undefined) return;
    const run = { command: command.program, args: [...command.arguments, "lsp"] };
    const options: LanguageClientOptions = {
      documentSelector: [{ language: "ncd" }],
      initializationOptions: { include: include() },
      outputChannel: this.log,
      synchronize: { fileEvents: vscode.workspace.createFileSystemWatcher("**/*.ncd") },
    };
    const client = new LanguageClient("ncd", "NCD", { run, debug: run }, options);
    this.client = client;
    try {
      await client.start();
      const level = vscode.workspace.getConfiguration("ncd").get("trace.server", "off");
      await client.setTrace(Trace.fromString(level));
    } catch (error) {
      this.client = undefined;
      const show = "Show Output";
      const told = `NCD: the language server does not start: ${String(error)}. \`pip install 'ncdlang[lsp]'\` brings what it needs.`;
      void vscode.window.showErrorMessage(told, show).then((chosen) => chosen && this.log.show());
    }
  }

  /** The drawing of the diagram at a place; null where there is none or it has errors. */
  async draw(
    document: vscode.TextDocument,
    position: vscode.Position,
    theme: "light" | "dark",
  ): Promise<Drawing | null> {
    const client = this.client;
    if (client === undefined || !client.isRunning()) throw new Error("ncdc lsp is not running");
    const converter = client.code2ProtocolConverter;
    return client.sendRequest<Drawing | null>("ncd/drawing", {
      textDocument: converter.asTextDocumentIdentifier(document),
      position: converter.asPosition(position),
      theme,
    });
  }

  private async stop(): Promise<void> {
    const client = this.client;
    this.client = undefined;
    try {
      await client?.stop();
    } catch (error) {
      this.log.warn(`the language server did not stop in order: ${String(error)}`);
    }
  }

  dispose(): void {
    void this.stop().then(() => this.log.dispose());
  }
}

interface Place {
  readonly document: vscode.TextDocument;
  readonly position: vscode.Position;
  readonly diagram: string;
}

/** The diagram that a command is about. */
async function placeOf(given?: Target | string, name?: string): Promise<Place | undefined> {
  const target: Target = typeof given === "string" ? { uri: given, diagram: name } : (given ?? {});
  const editor = vscode.window.activeTextEditor;
  const document =
    typeof target.uri === "string"
      ? await vscode.workspace.openTextDocument(vscode.Uri.parse(target.uri, true))
      : editor?.document;
  if (document?.languageId !== "ncd") {
    void vscode.window.showInformationMessage("NCD: open a .ncd file first.");
    return undefined;
  }
  const text = document.getText();
  const here = editor?.document === document ? document.offsetAt(editor.selection.active) : 0;
  const wanted = target.diagram ?? diagramAt(text, here) ?? diagramAt(text, text.length);
  const offset = wanted === undefined ? -1 : declaration(text, wanted);
  if (wanted === undefined || offset < 0) {
    void vscode.window.showInformationMessage("NCD: there is no diagram in this file.");
    return undefined;
  }
  return { document, position: document.positionAt(offset), diagram: wanted };
}
