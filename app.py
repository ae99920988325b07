"""BloodCell Lab: ``streamlit run app.py``.

The frame around the pages: navigation, the active ensemble and dataset, nothing else.
"""

import streamlit as st

from bloodcell.ui.common.state import sidebar

st.set_page_config(
    page_title="BloodCell Lab",
    page_icon=":material/bloodtype:",
    layout="wide",
    menu_items={"About": "BloodCell Lab. For research use only, not a medical device."},
)

page = st.navigation(
    [
        st.Page("pages/classify.py", title="Classify", icon=":material/search:", default=True),
        st.Page("pages/dataset.py", title="Dataset", icon=":material/grid_view:"),
        st.Page("pages/augmentation.py", title="Augmentation", icon=":material/tune:"),
        st.Page("pages/training.py", title="Training", icon=":material/show_chart:"),
        st.Page("pages/evaluation.py", title="Evaluation", icon=":material/fact_check:"),
    ]
)
sidebar()
page.run()
