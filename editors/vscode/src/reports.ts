// `ncdc explain` and `ncdc cost` of a diagram, each in a read-only document of its own.

import * as path from "node:path";
import * as vscode from "vscode";
import type { Command } from "./command";
import { execute, include } from "./ncdc";

export const SCHEME = "ncd-report";

/** Keeps the text of each report until its document is closed. */
export class Reports implements vscode.TextDocumentContentProvider, vscode.Disposable {
  private readonly texts = new Map<string, string>();
  private readonly changed = new vscode.EventEmitter<vscode.Uri>();
  readonly onDidChange = this.changed.event;
  private readonly listeners = [
    vscode.workspace.registerTextDocumentContentProvider(SCHEME, this),
    vscode.workspace.onDidCloseTextDocument((closed) => this.texts.delete(closed.uri.toString())),
  ];

  provideTextDocumentContent(uri: vscode.Uri): string {
    return this.texts.get(uri.toString()) ?? "";
  }

  /** Run a command on a diagram of a document, saved or not, and show what it writes. */
  async show(
    ncdc: Command,
    kind: "explain" | "cost",
    document: vscode.TextDocument,
    diagram: string,
  ): Promise<void> {
    const folder = document.uri.scheme === "file" ? path.dirname(document.uri.fsPath) : undefined;
    const roots = [...(folder ? [folder] : []), ...include(document.uri)];
    const options = ["--color", "never", ...roots.flatMap((each) => ["-I", each])];
    const input = document.getText();
    const outcome = await execute(ncdc, [kind, "-", diagram, ...options], { input, folder });
    if (outcome.code !== 0) {
      const first = outcome.stderr.trim().split("\n")[0] || `ncdc ${kind} failed`;
      void vscode.window.showErrorMessage(`NCD: ${first}`);
      return;
    }
    const name = `${kind} ${diagram}`;
    const uri = vscode.Uri.from({ scheme: SCHEME, path: name, query: document.uri.toString() });
    this.texts.set(uri.toString(), outcome.stdout);
    this.changed.fire(uri);
    const report = await vscode.workspace.openTextDocument(uri);
    await vscode.window.showTextDocument(report, vscode.ViewColumn.Beside, true);
  }

  dispose(): void {
    this.changed.dispose();
    for (const listener of this.listeners) listener.dispose();
  }
}
