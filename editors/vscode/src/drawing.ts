// The panel that shows the drawing of the diagram under the cursor, and follows edits.

import { randomBytes } from "node:crypto";
import * as vscode from "vscode";

/** What the request `ncd/drawing` answers. */
export interface Drawing {
  readonly svg: string;
  readonly title: string;
}

export type Draw = (
  document: vscode.TextDocument,
  position: vscode.Position,
  theme: "light" | "dark",
) => Promise<Drawing | null>;

/** One panel at most; it shows the diagram of the last editor that had the cursor in one. */
export class DrawingPanel implements vscode.Disposable {
  private panel: vscode.WebviewPanel | undefined;
  private place: { document: vscode.TextDocument; position: vscode.Position } | undefined;
  private timer: NodeJS.Timeout | undefined;
  private asked = 0;
  private readonly listeners: vscode.Disposable[];

  constructor(
    private readonly home: vscode.Uri,
    private readonly draw: Draw,
  ) {
    this.listeners = [
      vscode.window.onDidChangeTextEditorSelection((event) => this.follow(event.textEditor)),
      vscode.window.onDidChangeActiveTextEditor((editor) => editor && this.follow(editor)),
      vscode.window.onDidChangeActiveColorTheme(() => this.soon()),
      vscode.workspace.onDidChangeTextDocument((event) => {
        // A module that the diagram uses may have changed as well.
        if (event.document.languageId === "ncd") this.soon();
      }),
    ];
  }

  /** Show the drawing of the diagram at a place beside its text. */
  show(document: vscode.TextDocument, position: vscode.Position): void {
    this.place = { document, position };
    if (this.panel === undefined) this.panel = this.open();
    else this.panel.reveal(undefined, true);
    void this.refresh();
  }

  /** Draw again, for the server is a new one. */
  restart(): void {
    this.soon();
  }

  private open(): vscode.WebviewPanel {
    const media = vscode.Uri.joinPath(this.home, "media");
    const panel = vscode.window.createWebviewPanel(
      "ncd.drawing",
      "NCD Drawing",
      { viewColumn: vscode.ViewColumn.Beside, preserveFocus: true },
      { enableScripts: true, localResourceRoots: [media], retainContextWhenHidden: true },
    );
    panel.webview.html = page(panel.webview, media);
    panel.onDidDispose(() => (this.panel = undefined));
    panel.onDidChangeViewState(() => panel.visible && this.soon());
    return panel;
  }

  private follow(editor: vscode.TextEditor): void {
    if (this.panel === undefined || editor.document.languageId !== "ncd") return;
    this.place = { document: editor.document, position: editor.selection.active };
    this.soon();
  }

  /** Draw when nothing has changed for a moment. */
  private soon(): void {
    if (this.panel === undefined) return;
    clearTimeout(this.timer);
    const delay = vscode.workspace.getConfiguration("ncd").get("drawing.delay", 200);
    this.timer = setTimeout(() => void this.refresh(), delay);
  }

  private async refresh(): Promise<void> {
    const { panel, place } = this;
    if (!panel?.visible || place === undefined || place.document.isClosed) return;
    const number = ++this.asked;
    let drawing: Drawing | null = null;
    let problem = "";
    try {
      drawing = await this.draw(place.document, place.position, theme());
    } catch (error) {
      problem = error instanceof Error ? error.message : String(error);
    }
    // An answer that was overtaken by a later question, or by the end of the panel.
    if (number !== this.asked || this.panel !== panel) return;
    if (drawing !== null) panel.title = drawing.title;
    void panel.webview.postMessage({ svg: drawing?.svg ?? null, problem });
  }

  dispose(): void {
    clearTimeout(this.timer);
    this.panel?.dispose();
    for (const listener of this.listeners) listener.dispose();
  }
}

function theme(): "light" | "dark" {
  const { kind } = vscode.window.activeColorTheme;
  const dark = [vscode.ColorThemeKind.Dark, vscode.ColorThemeKind.HighContrast];
  return dark.includes(kind) ? "dark" : "light";
}

/** The page of the panel. It may run its own script and load its own style, and nothing else. */
function page(webview: vscode.Webview, media: vscode.Uri): string {
  const nonce = randomBytes(16).toString("hex");
  const uri = (name: string) => webview.asWebviewUri(vscode.Uri.joinPath(media, name)).toString();
  const policy = [
    "default-src 'none'",
    `img-src ${webview.cspSource} data:`,
    `style-src ${webview.cspSource} 'unsafe-inline'`,
    `script-src 'nonce-${nonce}'`,
  ].join("; ");
  return `<!DOCTYPE html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta http-equiv="Content-Security-Policy" content="${policy}">
  <link rel="stylesheet" href="${uri("drawing.css")}">
  <title>NCD Drawing</title>
</head>
<body>
  <main id="drawing"></main>
  <p id="status" role="status">Put the cursor into a diagram.</p>
  <script nonce="${nonce}" src="${uri("drawing.js")}"></script>
</body>
</html>`;
}
