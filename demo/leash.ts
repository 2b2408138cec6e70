// Leads a process group: runs the script it is given, and takes the whole group along when the process that started it is
// gone. Nothing else would end a server whose starter was killed without a chance to clean up.
import { spawn } from "node:child_process";

process.once("disconnect", () => process.kill(0, "SIGKILL"));
spawn(process.execPath, process.argv.slice(2), { stdio: "inherit" }).once("exit", (code) => process.exit(code ?? 1));
