const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Fires when the process is asked to end, so that a run ends what it has started; asked again, it ends at once. */
export function interruption(): AbortSignal {
  const controller = new AbortController();
  for (const name of signals)
    process.once(name, () => controller.abort(new Error(`asked to end by ${name}`)));
  return controller.signal;
}
