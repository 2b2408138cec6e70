import { serve } from "../../src/cloudflare.ts";
import { programFlows } from "./programs/index.ts";

// The Worker under test: served as any Worker would be, with flows that tests watch and hold up.
const app = serve({ flows: { ...programFlows } });

export default app;
export const { FlowRun, Executor } = app;
