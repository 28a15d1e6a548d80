// A table that scrolls can be scrolled by keyboard. The theme wraps tables once the page is there.
new MutationObserver(() => {
  for (const frame of document.querySelectorAll(".md-typeset__scrollwrap:not([tabindex])")) {
    frame.tabIndex = 0;
  }
}).observe(document.body, { childList: true, subtree: true });
