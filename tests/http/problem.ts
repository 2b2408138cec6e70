import { expect } from "vitest";

/** An error as RFC 9457 writes it. Checks that it is one, and that its status is the response's. */
export interface ProblemJson {
  type: string;
  title: string;
  status: number;
  detail: string;
  errors?: { pointer: string; detail: string }[];
}

export async function problemOf(response: Response): Promise<ProblemJson> {
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  const problem = await response.json<ProblemJson>();
  expect(problem).toMatchObject({ type: "about:blank", title: expect.any(String), detail: expect.any(String) });
  expect(problem.status).toBe(response.status);
  expect(problem.detail).not.toBe("");
  return problem;
}
