/* What the pages cannot do without a script. It runs once in a tab and touches nothing but links and the focus. */
(() => {
  const here = document.currentScript;
  document.documentElement.lang = (here && here.dataset.lang) || document.documentElement.lang;
  if (window.insulaPage) return;
  window.insulaPage = true;

  // Links of our own go to a page without loading everything anew, as Streamlit's own do.
  document.addEventListener("click", (event) => {
    const link = event.target.closest && event.target.closest("a.in-go");
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    if (link.origin !== location.origin) return;
    event.preventDefault();
    history.pushState(null, "", link.href);
    dispatchEvent(new PopStateEvent("popstate"));
  });

  // A refresh puts new elements in place of old ones: the focus goes to the one that has the same name.
  let focused = null;
  document.addEventListener("focusin", (event) => { focused = event.target.id || null; });
  document.addEventListener("focusout", (event) => { if (event.relatedTarget) focused = event.relatedTarget.id || null; });
  document.addEventListener("pointerdown", (event) => { if (!event.target.closest("[id^=in-]")) focused = null; });
  new MutationObserver(() => {
    if (!focused || !focused.startsWith("in-") || document.activeElement !== document.body) return;
    const again = document.getElementById(focused);
    if (again) again.focus({ preventScroll: true });
  }).observe(document.body, { childList: true, subtree: true });
})();
