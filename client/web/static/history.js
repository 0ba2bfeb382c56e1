// The strip of the last results.

import { add, all, clear } from "./store.js";

export class History {
  // `show(entry)` puts a result on the stage.
  constructor(root, show) {
    this.root = root;
    this.show = show;
    this.list = root.querySelector("#history-list");
    this.urls = [];
    root.querySelector("#forget").addEventListener("click", async () => {
      await clear();
      await this.load();
    });
  }

  async add(entry) {
    await add(entry);
    await this.load();
  }

  async load() {
    const entries = await all();
    this.urls.forEach((url) => URL.revokeObjectURL(url));
    this.urls = [];
    this.root.hidden = entries.length === 0;
    this.list.replaceChildren(...entries.map((entry) => this.#item(entry)));
  }

  #item(entry) {
    const url = URL.createObjectURL(entry.after);
    this.urls.push(url);
    const button = document.createElement("button");
    button.type = "button";
    const time = new Date(entry.time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    const words = `${entry.names[0]} in the light of ${entry.names[1]}, ${time}`;
    button.setAttribute("aria-label", `Show ${words}`);
    button.title = words;
    button.append(Object.assign(new Image(), { src: url, alt: "", loading: "lazy" }));
    button.addEventListener("click", () => this.show(entry));
    const item = document.createElement("li");
    item.append(button);
    return item;
  }
}
