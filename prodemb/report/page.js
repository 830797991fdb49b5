"use strict";
// Filters and searches the gallery, and opens and closes the tree. Text of the catalog is read, never written as markup.
(() => {
  const STEP = 48;
  const form = document.getElementById("filters");
  const status = document.getElementById("found");
  const more = document.getElementById("more");
  const products = [...document.querySelectorAll(".product")].map((element) => ({
    element,
    text: element.textContent.toLowerCase().replace(/\s+/g, " "),
    data: element.dataset,
  }));
  let shown = STEP;

  const matches = ({ text, data }, wanted) => {
    const confidence = data.confidence === "" ? null : Number(data.confidence);
    return (
      wanted.words.every((word) => text.includes(word)) &&
      (!wanted.category || data.category === wanted.category) &&
      (!wanted.brand || data.brand === wanted.brand) &&
      (!wanted.partner || data.partner === wanted.partner) &&
      (!wanted.kind || data.kinds.split("|").includes(wanted.kind)) &&
      (wanted.least === "" || (confidence !== null && confidence >= Number(wanted.least) / 100)) &&
      (wanted.most === "" || (confidence !== null && confidence <= Number(wanted.most) / 100))
    );
  };

  const update = () => {
    const wanted = Object.fromEntries(new FormData(form));
    wanted.words = wanted.search.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    for (const product of products) {
      const is_match = matches(product, wanted);
      found += is_match;
      product.element.hidden = !is_match || found > shown;
    }
    const visible = Math.min(found, shown);
    status.textContent = `${found} of ${products.length} products match; ${visible} shown`;
    more.hidden = visible === found;
  };

  if (form) {
    form.addEventListener("input", () => { shown = STEP; update(); });
    form.addEventListener("reset", () => setTimeout(() => { shown = STEP; update(); }));
    form.addEventListener("submit", (event) => event.preventDefault());
    more.addEventListener("click", () => { shown += STEP; update(); });
    update();
  }

  const tree = document.querySelectorAll(".tree details");
  for (const button of document.querySelectorAll("[data-tree]")) {
    button.addEventListener("click", () => tree.forEach((each) => { each.open = button.dataset.tree === "open"; }));
  }
  // Closed parts of the tree would be missing on paper.
  addEventListener("beforeprint", () => tree.forEach((each) => { each.open = true; }));
})();
