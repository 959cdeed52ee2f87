// A switch between ways to show the same data.

/** @param {HTMLElement} element - has buttons with `data-as` */
export function switchable(element, chosen) {
  element.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    pressed(element, button.dataset.as);
    chosen(button.dataset.as);
  });
}

export function pressed(element, as) {
  for (const button of element.querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.dataset.as === as));
}
