import { serve } from "../../src/cloudflare.ts";
import { Flow, ParallelBatchNode } from "../../src/index.ts";
export const seen: string[] = [];
class Double extends ParallelBatchNode<{ n: number[]; out?: number[] }, {}, number, number> {
  override prep(s: { n: number[] }) { return s.n; }
  override async exec(n: number) { seen.push(`exec ${n}`); await new Promise((r) => setTimeout(r, 50)); return 2 * n; }
  override post(s: { out?: number[] }, _: unknown, r: number[]) { s.out = r; }
}
const app = serve({ flows: { double: () => new Flow(new Double()), q: () => new Flow(new Double({ executor: "queue" })) } });
export default app;
export const { FlowRun, Executor } = app;
