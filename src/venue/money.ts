const decimalsByCurrency = new Map<string, number>();

/** Returns the number of decimals of a currency (ISO 4217): 2 for EUR, 0 for JPY, 3 for KWD. */
function decimalsOf(currency: string): number {
  let decimals = decimalsByCurrency.get(currency);
  if (decimals === undefined) {
    const format = new Intl.NumberFormat("en", { style: "currency", currency });
    decimals = format.resolvedOptions().maximumFractionDigits ?? 0;
    decimalsByCurrency.set(currency, decimals);
  }
  return decimals;
}

/** Formats an amount for the wire, in units of the currency: 15000 in EUR is "150.00", in JPY "15000". */
export function formatAmount(amountMinor: number, currency: string): string {
  const decimals = decimalsOf(currency);
  if (decimals === 0) return String(amountMinor);
  const digits = String(Math.abs(amountMinor)).padStart(decimals + 1, "0");
  return `${amountMinor < 0 ? "-" : ""}${digits.slice(0, -decimals)}.${digits.slice(-decimals)}`;
}

/** Returns whether this is the ISO 4217 code of a currency in use. */
export function isCurrency(code: string): boolean {
  return KNOWN.has(code);
}

const KNOWN = new Set(Intl.supportedValuesOf("currency"));
