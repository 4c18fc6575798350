// `ncdc explain` and `ncdc cost` of a diagram, each in a read-only document of its own.

import * as path from "node:path";
import * as vscode from "vscode";
import { settings, type Command } from "./command";
import { execute, include, type Outcome } from "./ncdc";

export const SCHEME = "ncd-report";

/** Keeps the text of each report until its document is closed. */
export class Reports implements vscode.TextDocumentContentProvider, vscode.Disposable {
  private readonly texts = new Map<string, string>();
  private readonly answers = new Map<string, string>();
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
    const run = (answer: string) => {
      const all = [kind, "-", diagram, ...options, ...settings(answer)];
      const title = `NCD: ${kind} ${diagram}`;
      const location = vscode.ProgressLocation.Window;
      return vscode.window.withProgress({ location, title }, () =>
        execute(ncdc, all, { input: document.getText(), folder }),
      );
    };
    let outcome = await run("");
    for (let needed; (needed = sizesNeeded(outcome)) !== undefined; ) {
      const answer = await this.ask(`${document.uri.toString()} ${diagram}`, needed);
      if (answer === undefined) return;
      outcome = await run(answer);
    }
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

  /** The sizes that a report depends on, by a person; what was said last is proposed. */
  private async ask(key: string, needed: string): Promise<string | undefined> {
    const answer = await vscode.window.showInputBox({
      title: `NCD: ${needed}`,
      prompt: "Sizes as h=8, k=64, or the name of a config of the file, or both",
      value: this.answers.get(key) ?? "",
      ignoreFocusOut: true,
      validateInput: (text) => (settings(text).length > 0 ? undefined : "h=8, k=64"),
    });
    if (answer !== undefined) this.answers.set(key, answer);
    return answer;
  }

  dispose(): void {
    this.changed.dispose();
    for (const listener of this.listeners) listener.dispose();
  }
}

/** What ncdc says where it lacks sizes, or undefined. */
function sizesNeeded({ code, stderr }: Outcome): string | undefined {
  const [message, help] = stderr.trim().split("\n");
  return code !== 0 && help?.trim().startsWith("--size ") ? message.replace("error: ", "") : undefined;
}
