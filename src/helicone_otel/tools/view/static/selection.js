// The choice on the page of a session: a path, or a request with its path. Every view of the session shows it.

export class Selection {
  #listeners = [];
  path = null;
  request = null;

  /** @param {{path: string|null, request?: object|null}} chosen */
  choose({ path, request = null }, cause = null) {
    if (path === this.path && request?.id === this.request?.id) return;
    this.path = path;
    this.request = request;
    for (const listener of this.#listeners) listener(this, cause);
  }

  whenChanged(listener) {
    this.#listeners.push(listener);
  }
}
