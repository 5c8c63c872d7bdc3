import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { eventually } from "../flow/eventually.ts";
import type { ProcessFigures } from "./record.ts";

const preload = fileURLToPath(new URL("memory-probe.ts", import.meta.url));

/** Arguments of Node and variables that put the probe into a process. */
export function probeOptions(file: string): { nodeArguments: string[]; environment: Record<string, string> } {
  return {
    nodeArguments: ["--expose-gc", "--import", preload],
    environment: { SOAK_PROBE_FILE: file },
  };
}

const reportedWithinMs = 60_000;

type ReportedFigures = Omit<ProcessFigures, "sockets" | "descriptors">;

/** Looks into a process that was started with `probeOptions`. */
export class ProxyProbe {
  readonly #pid: number;
  readonly #file: string;
  #count = 0;

  constructor(pid: number, file: string) {
    this.#pid = pid;
    this.#file = file;
  }

  /** Collects garbage in the process and counts what is left; a few dozen milliseconds. */
  async measure(): Promise<ProcessFigures> {
    const { sockets, descriptors } = this.#descriptors();
    process.kill(this.#pid, "SIGUSR2");
    let figures: ReportedFigures | undefined;
    const isReported = (): boolean => {
      const report: { count: number; figures: ReportedFigures } = JSON.parse(
        readFileSync(this.#file, "utf8"),
      );
      if (report.count === this.#count) return false;
      this.#count = report.count;
      figures = report.figures;
      return true;
    };
    await eventually("the proxy reports its memory", isReported, { withinMs: reportedWithinMs });
    if (figures === undefined) throw new Error("no figures");
    return { ...figures, sockets, descriptors };
  }

  #descriptors(): { sockets: number; descriptors: number } {
    const folder = `/proc/${this.#pid}/fd`;
    const targets = readdirSync(folder).map((name) => {
      try {
        return readlinkSync(`${folder}/${name}`);
      } catch {
        return "closed meanwhile";
      }
    });
    return {
      sockets: targets.filter((target) => target.startsWith("socket:")).length,
      descriptors: targets.length,
    };
  }
}
