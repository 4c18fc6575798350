// Finds the `ncdc` that an editor should run. Nothing here knows of the editor: see the test.

import * as path from "node:path";

/** A program and the arguments that come before those of ncdc. */
export interface Command {
  readonly program: string;
  readonly arguments: readonly string[];
}

/** What is known about where ncdc may be. Folders and interpreters of the workspace are left out
 * where the workspace is not trusted: to open a folder must run nothing in it. */
export interface Places {
  readonly path: string;
  readonly python: string;
  readonly environment?: string;
  readonly folders: readonly string[];
  readonly windows: boolean;
}

/** All commands worth a try, the best one first. A setting rules out everything else. */
export function candidates(places: Places): Command[] {
  if (places.path) return [{ program: places.path, arguments: [] }];
  if (places.python) return [module(places.python)];
  const inside = places.windows ? ".venv\\Scripts\\python.exe" : ".venv/bin/python";
  const slash = places.windows ? "\\" : "/";
  const environment = places.environment ? [module(places.environment)] : [];
  const local = places.folders.map((folder) => module(`${folder}${slash}${inside}`));
  return [...environment, ...local, { program: "ncdc", arguments: [] }];
}

function module(python: string): Command {
  return { program: python, arguments: ["-m", "ncdlang.cli"] };
}

/** The first command that works, or nothing. */
export async function firstThatWorks(
  commands: readonly Command[],
  works: (command: Command) => Promise<boolean>,
): Promise<Command | undefined> {
  for (const command of commands) {
    if (await works(command)) return command;
  }
  return undefined;
}

/** A folder of the settings: relative to a root if there is one, `~` is the home. */
export function folder(listed: string, root: string | undefined, home: string): string {
  if (/^~(?=$|[\\/])/.test(listed)) return home + listed.slice(1);
  return root === undefined || path.isAbsolute(listed) ? listed : path.join(root, listed);
}

/** The options of ncdc for what a person answers: `h=8, k=64`, the name of a config, or both. */
export function settings(answer: string): string[] {
  const parts = answer.replace(/\s*=\s*/g, "=").split(/[\s,]+/).filter((each) => each !== "");
  const [sizes, configs] = [true, false].map((is) => parts.filter((each) => each.includes("=") === is));
  return [
    ...configs.map((each) => `--config=${each}`),
    ...(sizes.length > 0 ? [`--size=${sizes.join(",")}`] : []),
  ];
}

/** Where a diagram is declared in a text: the offset of its name, or -1. */
export function declaration(text: string, name: string): number {
  for (const match of text.matchAll(/^[ \t]*diagram[ \t]+([\p{L}_][\p{L}\p{M}\p{N}_]*'*)/gmu)) {
    if (match[1].normalize("NFC") === name.normalize("NFC")) {
      return match.index + match[0].length - match[1].length;
    }
  }
  return -1;
}

/** The name of the diagram that an offset of a text is in, or undefined above the first one. */
export function diagramAt(text: string, offset: number): string | undefined {
  let found: string | undefined;
  for (const match of text.matchAll(/^[ \t]*diagram[ \t]+([\p{L}_][\p{L}\p{M}\p{N}_]*'*)/gmu)) {
    if (match.index > offset) break;
    found = match[1];
  }
  return found;
}
