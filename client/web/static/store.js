// The last results, in IndexedDB of this browser. Where that is refused (private windows of some
// browsers), there simply is no history.

const KEEP = 12;

function open() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open("photoreal", 1);
    request.onupgradeneeded = () =>
      request.result.createObjectStore("results", { keyPath: "id", autoIncrement: true });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function within(mode, work) {
  const database = await open();
  try {
    return await new Promise((resolve, reject) => {
      const transaction = database.transaction("results", mode);
      const request = work(transaction.objectStore("results"));
      transaction.oncomplete = () => resolve(request?.result);
      transaction.onabort = transaction.onerror = () => reject(transaction.error);
    });
  } finally {
    database.close();
  }
}

export async function all() {
  try {
    return (await within("readonly", (store) => store.getAll())).reverse();
  } catch {
    return [];
  }
}

export async function add(entry) {
  try {
    await within("readwrite", (store) => store.add(entry));
    const old = (await all()).slice(KEEP);
    await within("readwrite", (store) => void old.forEach(({ id }) => store.delete(id)));
  } catch {
    // No room or no permission: the result is on the page all the same.
  }
}

export async function clear() {
  try {
    await within("readwrite", (store) => store.clear());
  } catch {
    // Nothing was kept.
  }
}
