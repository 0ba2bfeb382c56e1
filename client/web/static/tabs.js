// Two views, one at a time; arrow keys change between them, as for every tab list.

export class Tabs {
  constructor(...buttons) {
    this.buttons = buttons;
    for (const [place, button] of buttons.entries()) {
      button.addEventListener("click", () => this.#activate(button));
      button.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        const next = buttons[(place + step + buttons.length) % buttons.length];
        this.#activate(next);
        next.focus();
        event.preventDefault();
      });
    }
  }

  select(name) {
    this.#activate(this.buttons.find((button) => button.id === `tab-${name}`));
  }

  #activate(chosen) {
    for (const button of this.buttons) {
      const selected = button === chosen;
      button.setAttribute("aria-selected", selected);
      button.tabIndex = selected ? 0 : -1;
      document.getElementById(button.getAttribute("aria-controls")).hidden = !selected;
    }
  }
}
