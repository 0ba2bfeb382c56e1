// The before-and-after slider: pointer, touch and keyboard move the same number, 0 to 100.

export class Compare {
  constructor(root) {
    this.root = root;
    this.frame = root.querySelector("#frame");
    this.before = root.querySelector("#before");
    this.after = root.querySelector("#after");
    this.handle = root.querySelector("#handle");
    this.frame.addEventListener("pointerdown", (event) => this.#drag(event));
    this.handle.addEventListener("keydown", (event) => this.#key(event));
    this.move(50);
  }

  // Shows two pictures by their addresses; resolves when both can be seen.
  async show(before, after) {
    this.before.src = before;
    this.after.src = after;
    await Promise.all([this.before.decode(), this.after.decode()]);
    this.frame.style.aspectRatio = `${this.after.naturalWidth} / ${this.after.naturalHeight}`;
    this.frame.style.setProperty("--ratio", this.after.naturalWidth / this.after.naturalHeight);
    this.root.hidden = false;
    this.move(50);
  }

  // Left of `percent` the original is seen, right of it the result.
  move(percent) {
    this.position = Math.min(100, Math.max(0, percent));
    this.frame.style.setProperty("--position", `${this.position}%`);
    const shown = Math.round(this.position);
    this.handle.setAttribute("aria-valuenow", shown);
    this.handle.setAttribute(
      "aria-valuetext",
      shown === 0 ? "result only" : shown === 100 ? "original only" : `original up to ${shown} %`,
    );
  }

  #drag(event) {
    if (event.button !== 0) return;
    this.handle.focus({ preventScroll: true });
    this.frame.setPointerCapture(event.pointerId);
    const follow = ({ clientX }) => {
      const box = this.frame.getBoundingClientRect();
      this.move((100 * (clientX - box.left)) / box.width);
    };
    follow(event);
    this.frame.addEventListener("pointermove", follow);
    const stop = () => this.frame.removeEventListener("pointermove", follow);
    this.frame.addEventListener("pointerup", stop, { once: true });
    this.frame.addEventListener("pointercancel", stop, { once: true });
    event.preventDefault();
  }

  #key(event) {
    const step = event.shiftKey ? 10 : 2;
    const moves = {
      ArrowLeft: this.position - step,
      ArrowDown: this.position - step,
      ArrowRight: this.position + step,
      ArrowUp: this.position + step,
      PageDown: this.position - 10,
      PageUp: this.position + 10,
      Home: 0,
      End: 100,
    };
    if (!(event.key in moves)) return;
    this.move(moves[event.key]);
    event.preventDefault();
  }
}
