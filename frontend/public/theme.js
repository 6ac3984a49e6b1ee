// Runs before the first paint: puts the chosen theme on <html>, so that a dark page never flashes white.
// A file of its own because the content security policy allows no inline script.
(function () {
  var chosen = null;
  try {
    chosen = localStorage.getItem("chat.theme"); // "light", "dark", or nothing: as the system says
  } catch {
    // Storage is switched off: the system decides.
  }
  var dark = chosen === "dark" || (chosen !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  document.documentElement.style.colorScheme = dark ? "dark" : "light";
})();
