// Calls of the gateway. Every failure is an ApiError whose message is a sentence.

export class ApiError extends Error {}

// XMLHttpRequest, since fetch does not tell how far an upload is.
export function post(path, fields, { type, signal, onUpload, onWait, onReceive } = {}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) {
      if (value === null || value === undefined) continue;
      if (value instanceof Blob) form.append(name, value, value.name || name);
      else form.append(name, String(value));
    }
    request.open("POST", path);
    request.responseType = "blob";
    const share = (event) => (event.lengthComputable ? event.loaded / event.total : null);
    request.upload.onprogress = (event) => onUpload?.(share(event));
    request.upload.onload = () => onWait?.();
    request.onprogress = (event) => request.status === 200 && onReceive?.(share(event));
    request.onerror = () => reject(new ApiError("The connection to the gateway broke off."));
    request.onabort = () => reject(new DOMException("Canceled", "AbortError"));
    request.onload = async () => {
      if (request.status !== 200) return reject(new ApiError(await sentence(request)));
      const body = type === "json" ? JSON.parse(await request.response.text()) : request.response;
      resolve({ body, seconds: timing(request.getResponseHeader("Server-Timing")) });
    };
    signal?.addEventListener("abort", () => request.abort(), { once: true });
    if (signal?.aborted) return reject(new DOMException("Canceled", "AbortError"));
    request.send(form);
  });
}

export async function getJson(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new ApiError(`The gateway answered ${answer.status}.`);
  return answer.json();
}

export async function getBlob(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new ApiError("The example photo could not be loaded.");
  return answer.blob();
}

export async function isReady() {
  try {
    return (await fetch("/health")).ok;
  } catch {
    return false;
  }
}

async function sentence(request) {
  try {
    const { detail } = JSON.parse(await request.response.text());
    if (typeof detail === "string") return detail;
  } catch {
    // Not the gateway's own words: something stands in between.
  }
  return `Something between this page and the gateway answered ${request.status}.`;
}

// "decode;dur=12.5, transfer;dur=900" as {decode: 0.0125, transfer: 0.9}
function timing(header) {
  const stages = (header || "").matchAll(/([a-z]+);dur=([\d.]+)/g);
  return Object.fromEntries([...stages].map(([, name, ms]) => [name, Number(ms) / 1000]));
}
