/**
 * What a cron expression says, where it is of the usual ones; null for all others: a wrong sentence would be worse than none.
 *
 * @example cronWords("0 6 * * MON-FRI"); // "at 06:00 UTC, MON-FRI"
 */
export function cronWords(expression: string): string | null {
  const fields = expression.trim().toUpperCase().split(/\s+/);
  const [minute = "", hour = "", date, month, weekday = ""] = fields;
  if (fields.length !== 5 || date !== "*" || month !== "*" || !/^(\*|[A-Z]{3}([-,][A-Z]{3})*)$/.test(weekday))
    return null;
  const time = timeWords(minute, hour);
  return time && `${time}${weekday === "*" ? "" : `, ${weekday}`}`;
}

function timeWords(minute: string, hour: string): string | null {
  const step = stepOf(minute, 60);
  if (step !== null && hour === "*") return step === 1 ? "every minute" : `every ${step} minutes`;
  const past = twoDigits(minute, 59);
  if (past === null) return null;
  const hours = stepOf(hour, 24);
  if (hours !== null) return `${hours === 1 ? "every hour" : `every ${hours} hours`} at :${past}`;
  const exact = twoDigits(hour, 23);
  return exact && `at ${exact}:${past} UTC`;
}

/** Every how many, where these divide the whole: the others begin anew with it. */
function stepOf(field: string, whole: number): number | null {
  const step = field === "*" ? 1 : Number(/^\*\/(\d+)$/.exec(field)?.[1] ?? 0);
  return step > 0 && step < whole && whole % step === 0 ? step : null;
}

function twoDigits(field: string, most: number): string | null {
  return /^\d+$/.test(field) && Number(field) <= most ? field.padStart(2, "0").slice(-2) : null;
}
