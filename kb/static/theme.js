// Runs before the first paint: the theme a person chose, else the system's.
(() => {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => {
    try {
      return localStorage.getItem("theme");
    } catch {
      return null; // storage is closed to us: follow the system
    }
  };
  const show = () => {
    const theme = chosen();
    document.documentElement.dataset.bsTheme = theme === "dark" || theme === "light" ? theme : system.matches ? "dark" : "light";
  };
  show();
  system.addEventListener("change", show);
  addEventListener("storage", show);
  document.documentElement.classList.add("has-script");
})();
