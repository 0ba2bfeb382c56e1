// One of the two places for a photo: choosing, dropping, examples, preview, and what is wrong.

const MEBIBYTE = 2 ** 20;
const UNSEEN = /\.tiff?$/i; // the server reads these, browsers do not

export class PhotoPane {
  // `onChange(pane)` is called with every new photo.
  constructor(root, onChange) {
    this.root = root;
    this.role = root.dataset.role;
    this.onChange = onChange;
    this.file = null;
    this.settings = null;
    this.input = root.querySelector("input");
    this.image = root.querySelector(".preview");
    this.note = root.querySelector(".note");
    const drop = root.querySelector(".drop");
    this.input.addEventListener("change", () => {
      if (this.input.files.length) this.take(this.input.files[0]);
      this.input.value = ""; // the same file may be chosen again
    });
    for (const kind of ["dragenter", "dragover"]) {
      drop.addEventListener(kind, (event) => {
        event.preventDefault();
        drop.classList.add("over");
      });
    }
    drop.addEventListener("dragleave", () => drop.classList.remove("over"));
    drop.addEventListener("drop", (event) => {
      event.preventDefault();
      event.stopPropagation();
      drop.classList.remove("over");
      if (event.dataTransfer.files.length) this.take(event.dataTransfer.files[0]);
    });
  }

  get title() {
    return this.root.querySelector("h2").textContent;
  }

  async take(file, alt = "") {
    this.#say("");
    const { max_file_bytes: most, max_pixels: pixels, min_side: least } = this.settings;
    const name = file.name || "The picture";
    if (file.size > most) {
      return this.#refuse(
        `${name} has ${Math.ceil(file.size / MEBIBYTE)} MiB; at most ${most / MEBIBYTE} are allowed.`,
      );
    }
    const url = URL.createObjectURL(file);
    const probe = new Image();
    probe.src = url;
    let size = null;
    try {
      await probe.decode();
      size = { width: probe.naturalWidth, height: probe.naturalHeight };
    } catch {
      if (!UNSEEN.test(name)) {
        URL.revokeObjectURL(url);
        return this.#refuse(`${name} is not a photo that can be read; choose a JPEG, PNG, WebP, TIFF or BMP file.`);
      }
    }
    if (size && size.width * size.height > pixels) {
      return this.#refuse(`${name} has more than ${pixels / 1e6} megapixels.`);
    }
    if (size && Math.min(size.width, size.height) < least) {
      return this.#refuse(`${name} is too small; at least ${least} pixels a side are needed.`);
    }
    if (this.url) URL.revokeObjectURL(this.url);
    Object.assign(this, { file, url, size, alt: alt || name });
    this.image.hidden = !size;
    if (size) this.image.src = url;
    this.image.alt = size ? this.alt : "";
    this.root.classList.add("filled");
    this.root.querySelector(".invite").hidden = Boolean(size);
    if (!size) this.root.querySelector(".invite").textContent = `${name}: no preview in this browser`;
    this.root.querySelector(".replace").hidden = !size;
    this.#say(size ? `${size.width} × ${size.height} pixels` : "");
    this.onChange(this);
    return true;
  }

  #refuse(sentence) {
    this.#say(sentence, true);
    return false;
  }

  #say(words, wrong = false) {
    this.note.textContent = words;
    this.note.classList.toggle("wrong", wrong);
    this.input.setAttribute("aria-invalid", wrong);
  }
}
