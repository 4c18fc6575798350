// Shows the drawings that the extension sends; Ctrl and the wheel change the size.
(() => {
  const place = document.getElementById("drawing");
  const status = document.getElementById("status");
  const forbidden = "script, foreignObject, iframe, object, embed, image, use[href^='http']";
  let scale = 1;

  /** The element of a drawing. It is no more than a picture: what could act is left out. */
  function picture(text) {
    const parsed = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
    if (parsed.nodeName !== "svg") return null;
    for (const element of parsed.querySelectorAll(forbidden)) element.remove();
    for (const element of [parsed, ...parsed.querySelectorAll("*")]) {
      for (const { name, value } of [...element.attributes]) {
        const acts = /^on/i.test(name) || /^\s*(javascript|data):/i.test(value);
        if (acts) element.removeAttribute(name);
      }
    }
    return document.importNode(parsed, true);
  }

  function fit() {
    const svg = place.querySelector("svg");
    if (svg) svg.style.width = `${100 * scale}%`;
  }

  window.addEventListener("message", ({ data }) => {
    const svg = data.svg === null ? null : picture(data.svg);
    if (svg !== null) {
      place.replaceChildren(svg);
      fit();
      status.textContent = "";
    } else if (data.problem) {
      status.textContent = data.problem;
    } else {
      status.textContent = place.firstChild
        ? "Not drawn anew: the cursor is in no diagram, or the diagram has errors."
        : "Put the cursor into a diagram without errors.";
    }
    place.classList.toggle("old", svg === null);
  });

  window.addEventListener(
    "wheel",
    (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      scale = Math.min(8, Math.max(0.25, scale * (event.deltaY < 0 ? 1.1 : 1 / 1.1)));
      fit();
    },
    { passive: false },
  );
  window.addEventListener("dblclick", () => {
    scale = 1;
    fit();
  });
})();
