/** Prometheus text exposition format 0.0.4. */

export const contentType = "text/plain; version=0.0.4; charset=utf-8";

export type Labels = Readonly<Record<string, string>>;

/** One value, with the labels that tell it from the family's others. */
export interface Sample {
  readonly labels: Labels;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge";
  readonly samples: readonly Sample[];
}

export interface HistogramFamily {
  readonly name: string;
  readonly help: string;
  readonly type: "histogram";
  readonly samples: readonly { readonly labels: Labels; readonly histogram: Histogram }[];
}

/** Counts of observations by upper bound; `bounds` grow. */
export class Histogram {
  readonly bounds: readonly number[];
  /** One count for each bound, and one for what is above all. */
  readonly counts: number[];
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = Array.from({ length: bounds.length + 1 }, () => 0);
  }

  observe(value: number): void {
    const i = this.bounds.findIndex((bound) => value <= bound);
    const at = i < 0 ? this.bounds.length : i;
    this.counts[at] = (this.counts[at] as number) + 1;
    this.sum += value;
  }
}

/** The families in order, each with HELP and TYPE; one without samples is left out. */
export function exposition(families: readonly (Family | HistogramFamily)[]): string {
  return families.filter((family) => family.samples.length > 0).map(familyText).join("");
}

function familyText(family: Family | HistogramFamily): string {
  const { name, help, type } = family;
  const head = `# HELP ${name} ${help.replace(/\\/g, "\\\\").replace(/\n/g, "\\n")}\n# TYPE ${name} ${type}\n`;
  if (family.type === "histogram") return head + family.samples.map(({ labels, histogram }) => histogramText(name, labels, histogram)).join("");
  return head + family.samples.map(({ labels, value }) => line(name, labels, value)).join("");
}

function histogramText(name: string, labels: Labels, { bounds, counts, sum }: Histogram): string {
  let total = 0;
  const buckets = [...bounds, Infinity].map((bound, i) => {
    total += counts[i] as number;
    return line(`${name}_bucket`, { ...labels, le: number(bound) }, total);
  });
  return buckets.join("") + line(`${name}_sum`, labels, sum) + line(`${name}_count`, labels, total);
}

function line(name: string, labels: Labels, value: number): string {
  const inside = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`);
  return `${name}${inside.length > 0 ? `{${inside.join(",")}}` : ""} ${number(value)}\n`;
}

function escaped(text: string): string {
  return text.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n");
}

function number(value: number): string {
  if (value === Infinity) return "+Inf";
  return value === -Infinity ? "-Inf" : String(value);
}
