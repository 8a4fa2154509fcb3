// Service workers, of which this page has none: one that is found was left by another page at this address, and can stand between
// the browser and whatever is served here, for good.

/** Ends every worker of this address that the browser keeps; gives whether there were any, and whether they are gone. */
export async function endWorkers() {
  // A browser that shows none, as some do in private windows, runs none.
  const kept = async () => (await navigator.serviceWorker?.getRegistrations().catch(() => [])) ?? [];
  const found = await kept();
  await Promise.all(found.map((worker) => worker.unregister()));
  return { found: found.length > 0, gone: (await kept()).length === 0 };
}
