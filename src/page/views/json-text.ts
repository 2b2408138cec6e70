/** Why a text cannot be a flow's input; null where it can. */
export function jsonFault(text: string): string | null {
  try {
    const value: unknown = JSON.parse(text);
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    return isObject ? null : "Expected a JSON object: it becomes the flow's shared store";
  } catch (error) {
    return (error as Error).message;
  }
}
