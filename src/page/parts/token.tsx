import { signal } from "@preact/signals";
import { useState } from "preact/hooks";
import { refusal, setToken, token, tryToken } from "../api.ts";
import { Dialog } from "./dialog.tsx";

/** Who closes the dialog is not asked again until they want to be. */
const isPutOff = signal(false);

/** Asks for the API's token where the API wants one. Shown once, at the root. */
export function TokenDialog() {
  if (refusal.value === null || isPutOff.value) return null;
  return (
    <Dialog title="This API asks for a token" onClose={() => putOff(true)}>
      <TokenForm />
    </Dialog>
  );
}

function TokenForm() {
  const [fault, setFault] = useState(refusal.value ?? "");
  const [isTrying, setTrying] = useState(false);
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const input = (event.currentTarget as HTMLFormElement).elements.namedItem("token") as HTMLInputElement;
    setTrying(true);
    try {
      await tryToken(input.value.trim());
    } catch (error) {
      setFault(`That did not do: ${(error as Error).message}`);
      setTrying(false);
      input.select();
    }
  };
  return (
    <form class="token" onSubmit={submit}>
      <p>
        It is the Worker's <code>API_TOKEN</code>. This tab keeps it until it is closed, and sends it to this server
        only.
      </p>
      <label>
        Token
        <input
          name="token"
          type="password"
          autocomplete="off"
          spellcheck={false}
          required
          autofocus
          aria-invalid={fault !== ""}
          aria-describedby="token-fault"
        />
      </label>
      <p id="token-fault" class="fault" role="alert">
        {fault}
      </p>
      <div class="buttons">
        <button type="submit" class="primary" disabled={isTrying}>
          {isTrying ? "Trying…" : "Use it"}
        </button>
      </div>
    </form>
  );
}

/** In the header: forgets the token, or asks for it again. */
export function TokenButton() {
  if (refusal.value !== null) {
    return (
      <button type="button" onClick={() => putOff(false)}>
        Enter token
      </button>
    );
  }
  if (token.value === null) return null;
  return (
    <button type="button" onClick={forget}>
      Forget token
    </button>
  );
}

function forget(): void {
  putOff(false);
  setToken(null);
}

function putOff(is: boolean): void {
  isPutOff.value = is;
}
