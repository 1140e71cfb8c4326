import type { FullResult, Reporter, TestCase, TestResult } from "@playwright/test/reporter";

/** Prints the counts in the last line, in the form that tests/peers/suite.sh reads. */
export default class Counts implements Reporter {
  #counts = { passed: 0, failed: 0, skipped: 0 };

  onTestEnd(_test: TestCase, { status }: TestResult) {
    this.#counts[status === "passed" || status === "skipped" ? status : "failed"] += 1;
  }
  onEnd({ status }: FullResult) {
    const { passed, failed, skipped } = this.#counts;
    console.log(`${passed} passed, ${status === "passed" ? 0 : Math.max(failed, 1)} failed, ${skipped} skipped`);
  }
}
