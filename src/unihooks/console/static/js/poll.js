// Parts of a page that keep themselves up to date: <div id="results" data-poll="/deliveries" data-seconds="4">.
//
// Every so many seconds the page at the URL is asked for, and the element with this one's id in it taken:
// - Where the element has a `[data-rows]` (such as <tbody data-rows>), rows with an id that are shown change in place.
//   Rows never move. New ones are counted in a pill, "3 new", and shown when it is pressed. Other parts of the element
//   that have `data-live` and an id (such as a count) are replaced.
// - Otherwise the whole element is brought up to date, without touching the focus.
// After a failure it waits longer each time, and says when the last update was: in the element `[data-updated="<id>"]`,
// or in one that it puts before the part. Nothing is asked for while the page is hidden, or has an open menu.

const LONGEST_S = 300;
const polls = new WeakMap();
const all = new Set();

document.addEventListener("DOMContentLoaded", start);
document.addEventListener("htmx:after:settle", start);
for (const [place, name] of [[window, "online"], [document, "visibilitychange"], [window, "pageshow"]])
  place.addEventListener(name, () => { for (const poll of all) poll.hurry(); });

function start() {
  for (const part of document.querySelectorAll("[data-poll][id]")) {
    if (!polls.has(part)) polls.set(part, new Poll(part));
  }
}

class Poll {
  #part; #timer; #failures = 0; #updated = Date.now(); #due = 0; #running = false; #fresh = null; #clock; #link = null;

  constructor(part) {
    this.#part = part;
    all.add(this);
    this.#wait(this.#seconds);
  }

  get #seconds() { return Number(this.#part.dataset.seconds) || 5; }

  hurry() {
    if (!document.hidden && (this.#failures || Date.now() >= this.#due)) this.#look();
  }

  #wait(seconds) {
    clearTimeout(this.#timer);
    this.#due = Date.now() + seconds * 1000;
    this.#timer = setTimeout(() => this.#look(), seconds * 1000);
  }

  #end() {
    clearTimeout(this.#timer);
    clearInterval(this.#clock);
    all.delete(this);
    polls.delete(this.#part);
  }

  async #look() {
    if (!this.#part.isConnected || !this.#part.dataset.poll) return this.#end();
    if (this.#running || document.hidden) return;
    // What a viewer is about to press stays where it is.
    if (this.#part.querySelector("details.menu[open]")) return this.#wait(this.#seconds);
    this.#running = true;
    const { html, wait, link } = await this.#asked();
    this.#running = false;
    if (!this.#part.isConnected) return this.#end();
    const page = html === null ? null : new DOMParser().parseFromString(html, "text/html");
    const fresh = page?.getElementById(this.#part.id);
    if (!fresh) return this.#failed(wait, link);
    [this.#failures, this.#updated] = [0, Date.now()];
    this.#say();
    Steady.local(fresh);
    await this.#bring(fresh);
    this.#wait(this.#seconds);
  }

  async #asked() {
    try {
      const answer = await fetch(this.#part.dataset.poll, {
        mode: "same-origin", signal: AbortSignal.timeout(20_000), headers: { "HX-Request": "true", Accept: "text/html" },
      });
      const problem = Steady.problemOf(answer);
      return { html: problem ? null : await answer.text(), wait: problem?.wait ?? 0, link: problem?.link };
    } catch {
      return { html: null, wait: 0 };
    }
  }

  #failed(wait, link) {
    this.#failures += 1;
    this.#link = link;
    this.#say();
    const longer = Math.min(LONGEST_S, this.#seconds * 2 ** this.#failures) * (0.9 + Math.random() * 0.2);
    this.#wait(Math.max(longer, wait));
  }

  #say() {
    clearInterval(this.#clock);
    const before = document.querySelector(`[data-updated="${this.#part.id}"]`);
    const place = before ?? (this.#failures ? this.#placed() : null);
    if (!place) return;
    place.hidden = !this.#failures;
    if (!this.#failures) return;
    const tell = () => {
      const when = Steady.soon(-Math.max(1, Math.round((Date.now() - this.#updated) / 1000)));
      place.textContent = Steady.word(this.#link ? "late-out" : "late", { when });
    };
    tell();
    this.#clock = setInterval(tell, 10_000);
  }

  #placed() {
    const place = document.createElement("p");
    place.className = "updated";
    place.dataset.updated = this.#part.id;
    place.setAttribute("role", "status");
    this.#part.before(place);
    return place;
  }

  async #bring(fresh) {
    const [rows, next] = [this.#part, fresh].map((one) => one.querySelector("[data-rows]"));
    if (!rows || !next) {
      // The first rows push nothing away, and a part without rows has none to keep in place.
      if (rows && !next) return;
      await morph(this.#part, fresh);
      return;
    }
    const shown = new Map([...rows.children].map((row) => [row.id, row]));
    const unseen = [...next.children].filter((row) => row.id && !shown.has(row.id));
    for (const row of next.children) {
      if (row.id && shown.has(row.id)) await morph(shown.get(row.id), row);
    }
    for (const one of fresh.querySelectorAll("[data-live][id]")) {
      const old = document.getElementById(one.id);
      if (old) await morph(old, one);
    }
    this.#fresh = fresh;
    this.#count(unseen.length, unseen.length === next.children.length);
  }

  #count(count, more) {
    const pill = this.#part.querySelector("[data-pill]") ?? (count ? this.#pill() : null);
    if (!pill) return;
    pill.hidden = !count;
    const kind = new Intl.PluralRules(document.documentElement.lang).select(count);
    if (count) pill.textContent = Steady.word(`new-${kind}`, { count: more ? `${count}+` : count });
  }

  #pill() {
    const place = document.createElement("div");
    place.className = "pill-place";
    const pill = document.createElement("button");
    [pill.type, pill.className, pill.dataset.pill] = ["button", "pill", ""];
    pill.setAttribute("aria-live", "polite");
    pill.addEventListener("click", () => this.#show());
    place.append(pill);
    this.#part.prepend(place);
    return pill;
  }

  #show() {
    const fresh = this.#fresh;
    this.#end();
    this.#part.replaceWith(document.adoptNode(fresh));
    htmx.process(fresh);
    fresh.dispatchEvent(new CustomEvent("htmx:after:settle", { bubbles: true, detail: {} }));
    fresh.scrollIntoView({ block: "nearest" });
    fresh.querySelector("[data-rows] a, [data-rows] button")?.focus({ preventScroll: true });
  }
}

async function morph(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  await htmx.swap({ text: fresh.outerHTML, target: old, swap: "outerMorph", sourceElement: old });
}
