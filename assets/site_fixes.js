/* Mends in the browser what the theme and its extensions leave undone (see book/_ext/site_fixes.py). */
(() => {
  // A keyboard must reach what scrolls sideways.
  const SCROLLING =
    "article :is(mjx-container[display], pre, table, .theorem-map, .pst-scrollable-table-container)";
  const reachable = () => {
    for (const box of document.querySelectorAll(SCROLLING)) {
      const scrolls = ["auto", "scroll"].includes(getComputedStyle(box).overflowX);
      if (scrolls && box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    }
  };

  const titleOf = (box) => box.querySelector(":scope > .admonition-title");

  // Only a click on the very title or its arrow opens a box; one on a word within it moves the
  // box that was moved last.
  const clickOnAPart = (event) => {
    const title = event.currentTarget;
    const handled = event.target === title || event.target.closest(".toggle-button");
    if (handled) return;
    event.stopImmediatePropagation();
    if (!event.target.closest("a")) title.querySelector(".toggle-button").click();
  };

  // A link into a closed box opens it.
  const openTarget = () => {
    let id = "";
    try {
      id = decodeURIComponent(location.hash.slice(1));
    } catch {
      return; // a hash that is not an encoded id leads nowhere
    }
    const target = id && document.getElementById(id);
    if (!target) return;
    let closed = target.closest(".toggle-hidden");
    if (!closed) return;
    for (; closed; closed = closed.parentElement.closest(".toggle-hidden"))
      titleOf(closed).querySelector(".toggle-button").click();
    target.scrollIntoView();
  };

  const prepareBoxes = () => {
    for (const box of document.querySelectorAll(".admonition.dropdown")) {
      const title = titleOf(box);
      const button = title.querySelector(".toggle-button");
      button.setAttribute("aria-label", `Show or hide: ${title.textContent.trim()}`);
      title.addEventListener("click", clickOnAPart, { capture: true });
    }
    openTarget();
  };

  const start = () => {
    prepareBoxes();
    // a box in a collapsed one changes its width when that is opened
    const observer = new ResizeObserver(reachable);
    document.querySelectorAll(SCROLLING).forEach((box) => observer.observe(box));
    window.MathJax?.startup?.promise?.then(reachable);
    window.addEventListener("hashchange", openTarget);
  };
  // the extension makes its buttons at DOMContentLoaded, in a listener that was there first
  if (document.readyState === "complete") start();
  else document.addEventListener("DOMContentLoaded", start);
})();
