/* A tile in JupyterLab's launcher and an entry in its command palette: a new notebook with the explorer running.
   JupyterLab loads this file as a module-federation container. It is written by hand, so that no bundler and no npm
   is needed. The module has to have `__esModule` and `default`, or JupyterLab never finishes its start. */
(() => {
  const NAME = "pruning-explorer";
  const COMMAND = `${NAME}:open`;

  // Every string that a person reads here.
  const TITLE = "Pruning explorer";
  const CAPTION = "A new notebook with the pruning explorer running";
  const CATEGORY = "Notebook"; // on the launcher's first screen; one of our own comes last
  const FILE = "Pruning explorer";
  const FAILED = "The pruning explorer could not be opened";
  const TEXT =
    "Press **Train**: half-way through, the weakest weights fall and the rest is fine-tuned. Then drag **Threshold**, " +
    "and let go. A click on the bar below shows the code.";
  const CODE = "import explorer as ex\n\nexplorer = ex.Explorer()\nexplorer";

  // Neurons, one of which has been pruned away with its connections.
  const ICON = `<svg xmlns="http://www.w3.org/2000/svg" width="32" viewBox="0 0 32 32">
  <path fill="none" stroke="#0072b2" stroke-width="1.8" d="M7 9 25 5.5M7 9l18 18M7 23 25 5.5M7 23l18 4"/>
  <g fill="#0072b2"><circle cx="7" cy="9" r="4"/><circle cx="7" cy="23" r="4"/>
    <circle cx="25" cy="5.5" r="4"/><circle cx="25" cy="27" r="4"/></g>
  <circle cx="25" cy="16.2" r="3.4" fill="none" stroke="#d55e00" stroke-width="2" stroke-dasharray="2.6 1.7"/>
</svg>`;

  let scope;

  /* A module that JupyterLab shares, in the version that it has. */
  async function shared(name) {
    const versions = scope[name];
    if (!versions) throw new Error(`JupyterLab shares no ${name}`);
    return (await Object.values(versions)[0].get())();
  }

  function notebook(kernels) {
    const kernel = kernels?.kernelspecs?.[kernels.default];
    const kernelspec = kernel ? { name: kernel.name, display_name: kernel.display_name, language: kernel.language } : undefined;
    return {
      nbformat: 4,
      nbformat_minor: 5,
      metadata: kernelspec ? { kernelspec } : {},
      cells: [
        { cell_type: "markdown", id: "words", metadata: {}, source: TEXT },
        {
          cell_type: "code",
          id: "explorer",
          metadata: { jupyter: { source_hidden: true } }, // so that the explorer fits a small screen
          source: CODE,
          execution_count: null,
          outputs: [],
        },
      ],
    };
  }

  /* "Pruning explorer.ipynb", with a number where that is taken. */
  async function freePath(contents, folder) {
    const { content } = await contents.get(folder);
    const taken = new Set(content.map((item) => item.name));
    for (let i = 1; ; i += 1) {
      const name = i === 1 ? `${FILE}.ipynb` : `${FILE} ${i}.ipynb`;
      if (!taken.has(name)) return folder ? `${folder.replace(/\/$/, "")}/${name}` : name;
    }
  }

  async function open(app, folder) {
    const { contents, kernelspecs } = app.serviceManager;
    await kernelspecs.ready;
    const path = await freePath(contents, folder);
    await contents.save(path, { type: "notebook", format: "json", content: notebook(kernelspecs.specs) });
    const panel = await app.commands.execute("docmanager:open", { path, factory: "Notebook" });
    await panel.context.ready;
    await panel.sessionContext.ready;
    app.shell.activateById(panel.id);
    await app.commands.execute("notebook:run-all-cells");
    return panel;
  }

  async function plugin() {
    // other programs load this too, Voila and Jupyter Notebook, which may have no launcher
    if (!scope["@jupyterlab/launcher"]) return { id: `${NAME}:launcher`, autoStart: false, activate: () => {} };
    const { ILauncher } = await shared("@jupyterlab/launcher");
    const { ICommandPalette, showErrorMessage } = await shared("@jupyterlab/apputils");
    const { LabIcon } = await shared("@jupyterlab/ui-components");
    return {
      id: `${NAME}:launcher`,
      description: CAPTION,
      autoStart: true,
      optional: [ILauncher, ICommandPalette],
      activate: (app, launcher, palette) => {
        app.commands.addCommand(COMMAND, {
          label: TITLE,
          caption: CAPTION,
          icon: new LabIcon({ name: `${NAME}:icon`, svgstr: ICON }),
          execute: ({ cwd = "" } = {}) => open(app, cwd).catch((error) => showErrorMessage(FAILED, error)),
        });
        // in this category the launcher shows a picture by its address only, and no icon
        const kernelIconUrl = `data:image/svg+xml,${encodeURIComponent(ICON)}`;
        launcher?.add({ command: COMMAND, category: CATEGORY, rank: 100, kernelIconUrl });
        palette?.addItem({ command: COMMAND, category: CATEGORY });
      },
    };
  }

  const modules = {
    "./extension": async () => ({ __esModule: true, default: await plugin() }),
    "./style": async () => ({}),
  };
  window._JUPYTERLAB ??= {};
  window._JUPYTERLAB[NAME] = {
    init: (given) => {
      scope = given;
    },
    get: async (name) => {
      if (!(name in modules)) throw new Error(`${NAME} has no module ${name}`);
      const made = await modules[name]();
      return () => made;
    },
  };
})();
