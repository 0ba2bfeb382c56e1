// Painting a label map over its photo.

const LONGEST = 900; // pixels of the overlay's longer side; borders need no more

// A label map (gray PNG) as {width, height, labels}, made smaller where it is large.
export async function readLabels(png) {
  const bitmap = await createImageBitmap(png, { colorSpaceConversion: "none" });
  const scale = Math.min(1, LONGEST / Math.max(bitmap.width, bitmap.height));
  const width = Math.max(1, Math.round(bitmap.width * scale));
  const height = Math.max(1, Math.round(bitmap.height * scale));
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingEnabled = false;
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  const pixels = context.getImageData(0, 0, width, height).data;
  const labels = Uint8Array.from({ length: width * height }, (_, index) => pixels[4 * index]);
  return { width, height, labels };
}

// For each label a spot with room around it, as shares of width and height: the middle of the
// run of pixels that is long and tall.
export function roomiest({ width, height, labels }) {
  const best = new Map();
  for (let y = 0; y < height; y += 4) {
    for (let x = 0; x < width; ) {
      const label = labels[y * width + x];
      let end = x;
      while (end < width && labels[y * width + end] === label) end += 1;
      const middle = (x + end) >> 1;
      const same = (row) => row >= 0 && row < height && labels[row * width + middle] === label;
      let [above, below] = [y, y];
      while (same(above - 1)) above -= 1;
      while (same(below + 1)) below += 1;
      const room = Math.min(end - x, 3 * Math.min(y - above, below - y));
      if (room > (best.get(label)?.room ?? 0)) {
        best.set(label, { room, x: middle / width, y: (y + 0.5) / height });
      }
      x = end;
    }
  }
  return best;
}

// The label under a pointer.
export function labelAt({ width, height, labels }, element, { clientX, clientY }) {
  const box = element.getBoundingClientRect();
  const cell = (offset, length, count) =>
    Math.min(count - 1, Math.max(0, Math.floor((offset / length) * count)));
  const x = cell(clientX - box.left, box.width, width);
  const y = cell(clientY - box.top, box.height, height);
  return labels[y * width + x];
}

// `colorOf(label)` is a color, or null for a region that is switched off and gets stripes.
export function drawOverlay(canvas, { width, height, labels }, colorOf, selected) {
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const paints = new Map();
  for (const label of new Set(labels)) {
    const color = colorOf(label);
    paints.set(label, color && [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16)));
  }
  for (let y = 0, at = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1, at += 1) {
      const label = labels[at];
      const paint = paints.get(label);
      const edge =
        (x + 1 < width && labels[at + 1] !== label) ||
        (y + 1 < height && labels[at + width] !== label);
      const stripe = !paint && (x + y) % 14 < 3;
      const [red, green, blue] = edge || stripe ? [255, 255, 255] : (paint ?? [18, 18, 20]);
      const strength = edge ? 235 : label === selected ? 190 : paint ? 112 : 140;
      image.data.set([red, green, blue, stripe && !edge ? 70 : strength], 4 * at);
    }
  }
  context.putImageData(image, 0, 0);
}
