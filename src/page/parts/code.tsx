import { type Call, curlOf } from "../views/curl.ts";
import { Copy } from "./copy.tsx";

/** A text to be copied. */
export function Code({ text, what }: { text: string; what: string }) {
  return (
    <>
      <pre class="code">{text}</pre>
      <Copy text={() => text} label="Copy" name={`Copy the ${what}`} />
    </>
  );
}

/** What a form does, for a shell. */
export function Curl({ call }: { call: Call }) {
  return (
    <details open>
      <summary>The same with curl</summary>
      <Code text={curlOf(call)} what="curl command" />
    </details>
  );
}
