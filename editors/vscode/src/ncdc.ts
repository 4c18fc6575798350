// Runs ncdc: finds it once for each state of the settings, and says how to get it.

import { execFile } from "node:child_process";
import { homedir } from "node:os";
import * as vscode from "vscode";
import { candidates, firstThatWorks, folder, type Command } from "./command";

const INSTALL = "pip install '.[lsp]'";
const PATIENCE = 20_000;

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Run a program to its end; what can't be started has the code -1. */
export function execute(
  command: Command,
  rest: readonly string[],
  options: { input?: string; folder?: string } = {},
): Promise<Outcome> {
  return new Promise((resolve) => {
    const all = [...command.arguments, ...rest];
    const settings = { cwd: options.folder, timeout: PATIENCE, maxBuffer: 64 * 1024 * 1024 };
    const child = execFile(command.program, all, settings, (error, stdout, stderr) => {
      const code = error ? (typeof error.code === "number" ? error.code : -1) : 0;
      resolve({ code, stdout, stderr: stderr || (code === -1 ? String(error) : "") });
    });
    child.stdin?.on("error", () => undefined); // it ended before it read everything
    child.stdin?.end(options.input ?? "");
  });
}

/** The ncdc of the settings, of an environment or of the PATH; undefined if there is none. */
export async function find(log: vscode.LogOutputChannel): Promise<Command | undefined> {
  const settings = vscode.workspace.getConfiguration("ncd");
  const trusted = vscode.workspace.isTrusted;
  const places = {
    path: settings.get("path", "").trim(),
    python: settings.get("python", "").trim(),
    environment: trusted ? await interpreter() : undefined,
    folders: trusted ? folders() : [],
    windows: process.platform === "win32",
  };
  return firstThatWorks(candidates(places), async (command) => {
    const { code, stdout, stderr } = await execute(command, ["--version"]);
    const shown = [command.program, ...command.arguments].join(" ");
    log.info(code === 0 ? `${shown}: ${stdout.trim()}` : `${shown}: ${stderr.trim()}`);
    return code === 0;
  });
}

function folders(): string[] {
  const all = vscode.workspace.workspaceFolders ?? [];
  return all.filter((each) => each.uri.scheme === "file").map((each) => each.uri.fsPath);
}

/** The interpreter that is chosen in the Python extension, if that is there. */
async function interpreter(): Promise<string | undefined> {
  const python = vscode.extensions.getExtension("ms-python.python");
  if (python === undefined) return undefined;
  try {
    const api = await python.activate();
    return api?.environments?.getActiveEnvironmentPath?.()?.path;
  } catch {
    return undefined; // that extension has its own words for what is wrong with it
  }
}

/** Say that there is no ncdc, and offer what helps. */
export async function sayMissing(): Promise<void> {
  const [settings, copy] = ["Open Settings", "Copy Install Command"];
  const told = `NCD: no ncdc was found. Install it with \`${INSTALL}\` in a clone of ncdlang, or set ncd.path or ncd.python.`;
  const chosen = await vscode.window.showErrorMessage(told, settings, copy);
  if (chosen === settings) {
    await vscode.commands.executeCommand("workbench.action.openSettings", "ncd.p");
  } else if (chosen === copy) {
    await vscode.env.clipboard.writeText(INSTALL);
  }
}

/** The folders of the setting `ncd.include`, as they are for a document. */
export function include(resource?: vscode.Uri): string[] {
  const listed = vscode.workspace.getConfiguration("ncd", resource).get<string[]>("include", []);
  const root = resource
    ? vscode.workspace.getWorkspaceFolder(resource)
    : vscode.workspace.workspaceFolders?.[0];
  return listed.map((each) => folder(each, root?.uri.fsPath, homedir()));
}
