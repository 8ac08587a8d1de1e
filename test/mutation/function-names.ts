/** As far as it is used here: https://github.com/estree/estree, as Babel extends it. */
export interface SyntaxNode {
  type: string;
  start: number;
  end: number;
  [member: string]: unknown;
}

interface NamedRange {
  name: string;
  start: number;
  end: number;
}

const isNode = (value: unknown): value is SyntaxNode =>
  typeof value === "object" && value !== null && "type" in value && "start" in value;

/** Finds the name of the innermost function or declaration around a range of the source. */
export function functionNames(program: SyntaxNode): (start: number, end: number) => string {
  const ranges: NamedRange[] = [];
  visit(program, "", ranges);
  // Outer ranges come first.
  return (start, end) =>
    ranges.findLast((range) => range.start <= start && end <= range.end)?.name ?? "module";
}

function visit(node: SyntaxNode, className: string, ranges: NamedRange[]): void {
  const inside = node.type.startsWith("Class") && isNode(node["id"]) ? nameOf(node["id"]) : className;
  const name = declaredName(node, className, ranges);
  if (name) ranges.push({ name, start: node.start, end: node.end });
  for (const value of Object.values(node)) {
    for (const child of Array.isArray(value) ? value : [value]) {
      if (isNode(child)) visit(child, inside, ranges);
    }
  }
}

function declaredName(
  node: SyntaxNode,
  className: string,
  around: readonly NamedRange[],
): string | undefined {
  switch (node.type) {
    case "FunctionDeclaration":
      return nameOf(node["id"]);
    case "ClassMethod":
    case "ClassPrivateMethod":
    case "ClassProperty":
    case "ClassPrivateProperty":
      return `${className}.${nameOf(node["key"])}`;
    case "VariableDeclarator": {
      // A constant within a function is part of it, unless it is a function itself.
      const isFunction = isNode(node["init"]) && node["init"].type === "ArrowFunctionExpression";
      const isWithin = around.some((range) => range.start <= node.start && node.end <= range.end);
      return isFunction || !isWithin ? nameOf(node["id"]) : undefined;
    }
    default:
      return undefined;
  }
}

function nameOf(node: unknown): string {
  if (!isNode(node)) return "";
  if (typeof node["name"] === "string") return node["name"];
  if (node.type === "PrivateName") return `#${nameOf(node["id"])}`;
  return typeof node["value"] === "string" ? node["value"] : node.type;
}
