import { createHash } from "node:crypto";
import { mkdirSync, rmSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { rolldown, type Plugin } from "rolldown";
import { parseAst } from "rolldown/parseAst";

const root = resolve(import.meta.dirname, "../..");
const counterModule = join(import.meta.dirname, "coverage.ts");
/** Cells of the coverage map; coverage.ts has as many. */
export const mapSize = 1 << 16;

interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [key: string]: unknown;
}

/**
 * Bundles `entry` with a counter at every branch of the sources that are under test (src-*), and imports the result. The counters are put into the
 * TypeScript as it stands, so lines stay where they are. Numbers and texts that the sources compare with go into a dictionary for the mutator.
 */
export async function importInstrumented<T>(entry: string): Promise<T> {
  const directory = join(root, "node_modules/.fuzz", String(process.pid));
  mkdirSync(directory, { recursive: true });
  const words = new Set<string>();
  const bundle = await rolldown({ cwd: root, platform: "node", input: entry, external: (id) => !id.startsWith(".") && !id.startsWith("/"), plugins: [instrumentation(words)], treeshake: false });
  try {
    const { output } = await bundle.write({ dir: directory, format: "esm", entryFileNames: "[name].mjs", sourcemap: false });
    const file = output.find((chunk) => chunk.type === "chunk" && chunk.isEntry)?.fileName as string;
    const module = (await import(pathToFileURL(join(directory, file)).href)) as T & { setWords?: (words: readonly string[]) => void };
    module.setWords?.([...words].sort());
    return module;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function instrumentation(words: Set<string>): Plugin {
  return {
    name: "fuzz-instrumentation",
    transform(code, id) {
      const path = relative(root, id);
      if (!/^src-[a-z]+\/.*\.ts$/.test(path)) return null;
      const changed = instrumented(code, path, words);
      return `import { edge as __edge } from ${JSON.stringify(counterModule)};${changed}`;
    },
  };
}

/** `code` with a call of `__edge` at the start of every function, branch and loop, and of every operand that is not always reached. */
export function instrumented(code: string, path: string, words: Set<string>): string {
  const insertions: { readonly at: number; readonly text: string; readonly order: number }[] = [];
  let sites = 0;
  const insert = (at: number, text: string): void => void insertions.push({ at, text, order: insertions.length });
  const counter = (): string => `__edge(${cellOf(path, sites++)})`;
  const asBlock = (statement: Node): void => {
    if (statement.type === "BlockStatement") return insert(statement.start + 1, `${counter()};`);
    insert(statement.start, `{${counter()};`);
    insert(statement.end, "}");
  };
  const asOperand = (expression: Node): void => {
    insert(expression.start, `(${counter()},`);
    insert(expression.end, ")");
  };
  walk(parseAst(code, { lang: "ts" }, path) as unknown as Node, (node) => {
    const { body, consequent, alternate, right } = node as unknown as Record<string, Node>;
    switch (node.type) {
      case "FunctionDeclaration":
      case "FunctionExpression":
      case "ArrowFunctionExpression":
        if (body) (body.type === "BlockStatement" || node.type !== "ArrowFunctionExpression" ? asBlock : asOperand)(body);
        return;
      case "IfStatement":
        // What follows tells one way from the other, but a loop's next round would not.
        if (!alternate) insert((consequent as Node).end, ` else{${counter()};}`);
        asBlock(consequent as Node);
        if (alternate) asBlock(alternate);
        return;
      case "ForStatement":
      case "ForOfStatement":
      case "ForInStatement":
      case "WhileStatement":
      case "DoWhileStatement":
        return asBlock(body as Node);
      case "SwitchCase": {
        const first = (node["consequent"] as readonly Node[])[0];
        if (first) insert(first.start, `${counter()};`);
        return;
      }
      case "CatchClause":
        return asBlock(body as Node);
      case "ConditionalExpression":
        asOperand(consequent as Node);
        return asOperand(alternate as Node);
      case "LogicalExpression":
        return asOperand(right as Node);
      case "Literal": {
        const { value } = node;
        if (typeof value === "number" || (typeof value === "string" && value.length > 0 && value.length <= 40)) words.add(`${typeof value} ${value}`);
        return;
      }
    }
  });
  // Of two texts at one place, ends of inner parts come before ends of outer ones, and starts of outer parts before starts of inner ones.
  const isEnd = (text: string): boolean => text === "}" || text === ")" || text.startsWith(" else");
  insertions.sort((a, b) => a.at - b.at || Number(isEnd(b.text)) - Number(isEnd(a.text)) || (isEnd(a.text) ? b.order - a.order : a.order - b.order));
  let out = "";
  let from = 0;
  for (const { at, text } of insertions) {
    out += code.slice(from, at) + text;
    from = at;
  }
  return out + code.slice(from);
}

/** The same for the same place in the same file, so that a corpus stays good while other files change. */
function cellOf(path: string, site: number): number {
  return createHash("sha1").update(`${path} ${site}`).digest().readUInt16BE(0) % mapSize;
}

/** Parents before children. Types are not code. */
function walk(node: Node, visit: (node: Node) => void): void {
  if ((node.type.startsWith("TS") && !("expression" in node)) || node.type === "ImportDeclaration") return;
  visit(node);
  for (const [key, value] of Object.entries(node)) {
    if (key === "typeAnnotation" || key === "returnType" || key === "typeParameters" || key === "typeArguments") continue;
    if (Array.isArray(value)) for (const item of value) if (isNode(item)) walk(item, visit);
    if (isNode(value)) walk(value, visit);
  }
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && typeof (value as Node).type === "string";
}
