import { serve } from "../../src/cloudflare.ts";
import type { Store } from "../../src/durable/store.ts";
import { programFlows } from "../durable/programs/index.ts";
import { KillingStore, kills } from "./kills.ts";

// The programs, served as by any Worker, but for where their runs are stored.

const app = serve({ flows: programFlows });

export const { Executor, RateLimiter, RunIndex } = app;
export default app;

export class FlowRun extends app.FlowRun {
  protected override openStore(storage: DurableObjectStorage, onFailure: (error: unknown) => void): Store {
    const kill = kills.get(this.ctx.id.name ?? "");
    return kill ? new KillingStore(this.ctx, onFailure, kill) : super.openStore(storage, onFailure);
  }
}
