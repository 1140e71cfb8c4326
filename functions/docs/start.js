// Removes the scheme from a pasted token.
const bare = (token) => token.trim().replace(/^bearer\s+/i, "");

// Returns the user id in a token, or undefined if it can't be read. Only the API verifies the token.
function userOf(token) {
  try {
    const bytes = Uint8Array.from(atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt());
    const { sub, user_id } = JSON.parse(new TextDecoder().decode(bytes));
    return sub ?? user_id;
  } catch {
    return undefined;
  }
}

// Fills in the user_id of every path from the token.
function fillInUser({ authSelectors, specSelectors, specActions }) {
  const user = userOf(authSelectors.authorized()?.getIn(["token", "value"]) ?? "");
  if (user === undefined) return;
  for (const entry of specSelectors.operations()) {
    for (const parameter of entry.getIn(["operation", "parameters"]) ?? []) {
      if (parameter.get("name") !== "user_id") continue;
      specActions.changeParamByIdentity([entry.get("path"), entry.get("method")], parameter, String(user), false);
    }
  }
}

const TokenPlugin = () => ({
  statePlugins: {
    auth: {
      wrapActions: {
        authorizeWithPersistOption: (authorize, system) => (payload) => {
          const { token } = payload;
          authorize(token ? { token: { ...token, value: bare(token.value) } } : payload);
          fillInUser(system);
        },
      },
    },
  },
});

// Shows each error response as one line until the user expands it.
const ErrorsPlugin = () => ({
  wrapComponents: {
    response: (Response, { React: { createElement, useState } }) => (props) => {
      const [shown, show] = useState(Number(props.code) < 400);
      if (shown) return createElement(Response, props);
      const button = { type: "button", className: "show-error", "aria-expanded": false, onClick: () => show(true) };
      return createElement(
        "tr",
        { className: "response", "data-code": props.code },
        createElement("td", { className: "response-col_status" }, props.code),
        createElement("td", { colSpan: 2 }, createElement("button", button, props.response.get("description"))),
      );
    },
  },
});

// Collapses the introduction, so that the operations are visible at once.
const IntroductionPlugin = () => ({
  wrapComponents: {
    InfoContainer: (Info, { React: { createElement } }) => (props) =>
      createElement(
        "details",
        { className: "introduction" },
        createElement("summary", null, "Introduction: tokens, examples and conventions"),
        createElement(Info, props),
      ),
  },
});

const prefersDark = matchMedia("(prefers-color-scheme: dark)");
const setTheme = () => document.documentElement.classList.toggle("dark-mode", prefersDark.matches);
prefersDark.addEventListener("change", setTheme);
setTheme();

const ui = SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  persistAuthorization: true,
  plugins: [TokenPlugin, ErrorsPlugin, IntroductionPlugin],
  onComplete: () => fillInUser(ui.getSystem()),
  // No validator on the internet: the page sends nothing to other origins.
  validatorUrl: null,
});
