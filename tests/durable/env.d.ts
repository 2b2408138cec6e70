// What the test Worker is told, and what it exports.
declare namespace Cloudflare {
  interface Env {
    API_TOKEN?: string;
    POCKETFLARE_OPEN?: string;
    EXECUTIONS?: Queue;
    EXECUTIONS_DEAD?: Queue;
  }
  interface GlobalProps {
    mainModule: typeof import("./worker.ts");
    durableNamespaces: "FlowRun" | "Executor";
  }
}
